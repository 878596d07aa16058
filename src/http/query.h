#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sutazai::http {

/// The pairs of a URL's query, percent-decoded, '+' a blank; a name without '=' has an empty value. Pure.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query);

}  // namespace sutazai::http
