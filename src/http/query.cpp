#include "http/query.h"

#include <algorithm>

#include "http/router.h"

namespace sutazai::http {

namespace {

std::string decoded(std::string_view text) {
    std::string out(text);
    std::ranges::replace(out, '+', ' ');
    return percent_decoded(out);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
        out.emplace_back(decoded(pair.substr(0, equals)), decoded(value));
    }
    return out;
}

}  // namespace sutazai::http
