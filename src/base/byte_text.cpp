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

std::string human_number(std::uint64_t number) {
    const auto value = static_cast<double>(number);
    if (number == 0) return {};
    if (number >= 1'000'000'000'000) return fmt::format("{:.1f}T", value / 1e12);
    if (number >= 1'000'000'000) return fmt::format("{:.1f}B", value / 1e9);
    if (number >= 1'000'000) return fmt::format("{:.2f}M", value / 1e6);
    if (number >= 1'000) return fmt::format("{:.0f}K", value / 1e3);
    return fmt::format("{}", number);
}

}  // namespace sutazai
