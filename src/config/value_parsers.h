#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// Text of a setting to its value. Pure. The error of each is what is allowed, to follow the words "must be".
namespace sutazai::config {

template <typename T>
using Parsed = std::expected<T, std::string>;

/// true/false, yes/no, on/off, 1/0, in any case.
[[nodiscard]] Parsed<bool> parse_bool(std::string_view text);

/// Decimal digits only.
[[nodiscard]] Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most);

/// Bytes, or a number with k, m, g, KiB, MiB or GiB (powers of 1024, in any case).
[[nodiscard]] Parsed<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t least, std::uint64_t most);

/// Comma separated, blanks around the parts dropped; empty text is an empty list, an empty part an error.
[[nodiscard]] Parsed<std::vector<std::string>> parse_list(std::string_view text);

/// `value` as parse_bytes reads it, in the largest unit that divides it: 8388608 is "8MiB".
[[nodiscard]] std::string show_bytes(std::uint64_t value);

[[nodiscard]] std::string_view trim(std::string_view text);
[[nodiscard]] std::string lower(std::string_view text);

}  // namespace sutazai::config
