#include "grammar/token_trie.h"

#include <algorithm>
#include <numeric>

namespace sutazai::grammar {

TokenTrie::TokenTrie(std::vector<std::string> texts) : texts_(std::move(texts)) {
    constexpr std::size_t kLongest = 65'535;
    for (std::string& text : texts_) {
        if (text.size() > kLongest) text.clear();
    }
    std::vector<std::int32_t> order(texts_.size());
    std::iota(order.begin(), order.end(), 0);
    std::erase_if(order, [&](std::int32_t token) { return text(token).empty(); });
    std::ranges::sort(order,
                      [&](std::int32_t a, std::int32_t b) { return std::pair(text(a), a) < std::pair(text(b), b); });
    std::vector<std::uint32_t> path;  // the nodes above and at the last text's end
    const auto close = [&](std::size_t depth) {
        while (path.size() > depth) {
            nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
            path.pop_back();
        }
    };
    std::string_view last;
    for (const std::int32_t token : order) {
        const std::string_view its = text(token);
        const auto common = static_cast<std::size_t>(std::ranges::mismatch(last, its).in2 - its.begin());
        close(common);
        for (std::size_t i = common; i < its.size(); ++i) {
            path.push_back(static_cast<std::uint32_t>(nodes_.size()));
            nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), static_cast<std::uint16_t>(i + 1),
                              static_cast<std::uint8_t>(its[i])});
        }
        tokens_.push_back(token);
        deepest_ = std::max(deepest_, its.size());
        last = its;
    }
    close(0);
    const auto end = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back({end, static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

}  // namespace sutazai::grammar
