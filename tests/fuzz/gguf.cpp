// The outline of a GGUF file: an error that says something, or numbers that lie within the file.
#include <cstdint>
#include <sstream>
#include <string>

#include "catalog/gguf_file.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
    const auto summary = sutazai::catalog::read_gguf_summary(in, size);
    if (!summary) {
        REQUIRE(!summary.error().message.empty());
        return 0;
    }
    REQUIRE(summary->data_offset <= size);
    // A translation may make floats of values of 16 bits.
    REQUIRE(summary->tensor_bytes / 2 <= size - summary->data_offset);
    return 0;
}
