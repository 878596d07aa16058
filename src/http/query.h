#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sutazai::http {

/// The pairs of a URL's query, percent-decoded, '+' a blank; a name without '=' has an empty value. Pure.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query);

/// The value of the first pair of that name; empty: it has none.
[[nodiscard]] std::string query_value(std::string_view query, std::string_view name);

/// The same as a whole number; unset when it has none. kInvalidArgument for what is no number from `least` to `most`.
[[nodiscard]] Result<std::optional<std::uint64_t>> query_number(std::string_view query, std::string_view name,
                                                                std::uint64_t least, std::uint64_t most);

}  // namespace sutazai::http
