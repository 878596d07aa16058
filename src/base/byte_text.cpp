#include "base/byte_text.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace sutazai {

std::string byte_text(std::uint64_t bytes) {
    static constexpr std::array<const char*, 6> kUnits{" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return fmt::format("{:.{}f}{}", value, (value < 10 || unit >= 3) && value != std::floor(value) ? 1 : 0,
                       kUnits.at(unit));
}

}  // namespace sutazai
