#pragma once

#include <cstdint>
#include <string>

namespace sutazai {

/// 1572864 is "1.5 MiB": a few digits, for people; enough of them to tell gibibytes apart.
[[nodiscard]] std::string byte_text(std::uint64_t bytes);

/// "494.03M", "7.6B": as Ollama shows numbers of parameters. Empty for 0.
[[nodiscard]] std::string human_number(std::uint64_t number);

}  // namespace sutazai
