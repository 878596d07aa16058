#pragma once

#include <cstdint>
#include <string>

namespace sutazai {

/// 1572864 is "1.5 MiB": a few digits, for people; enough of them to tell gibibytes apart.
[[nodiscard]] std::string byte_text(std::uint64_t bytes);

}  // namespace sutazai
