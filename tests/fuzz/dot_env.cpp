// .env files and the values in them.
#include <cstdint>
#include <string_view>

#include "config/settings.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto values = sutazai::config::parse_dot_env({reinterpret_cast<const char*>(data), size});
    if (!values) {
        REQUIRE(!values.error().message.empty());
        return 0;
    }
    const auto loaded = sutazai::config::load({.dot_env = *values});
    REQUIRE(loaded || !loaded.error().message.empty());
    return 0;
}
