#include "artifact/hot_chains.h"

#include <algorithm>

#include "artifact/value.h"

namespace sutazai::artifact {
namespace {

double value(const HotChain& chain, std::int64_t now_s, TokenCost cost) {
    const auto n = static_cast<double>(chain.tokens.size());
    Worth worth;
    worth.bytes = static_cast<std::uint64_t>(n * cost.bytes);
    worth.compute_us = static_cast<std::uint64_t>(n * cost.compute_us);
    worth.uses = chain.uses;
    worth.idle_s = now_s - chain.last_use_s;
    return value_of(worth);
}

}  // namespace

void HotChains::note(std::string_view salt, std::span<const Token> chain, std::int64_t now_s, TokenCost cost) {
    for (HotChain& known : chains_) {
        if (known.salt != salt) continue;
        const std::size_t n = std::min(known.tokens.size(), chain.size());
        if (!std::equal(chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(n), known.tokens.begin())) continue;
        if (chain.size() > n) known.tokens.assign(chain.begin(), chain.end());
        ++known.uses;
        known.last_use_s = now_s;
        return;
    }
    chains_.push_back({std::string(salt), {chain.begin(), chain.end()}, 1, now_s, 0});
    if (chains_.size() <= most_) return;
    chains_.erase(
        std::ranges::min_element(chains_, {}, [&](const HotChain& each) { return value(each, now_s, cost); }));
}

HotChain& HotChains::best(std::int64_t now_s, TokenCost cost) {
    return *std::ranges::max_element(chains_, {}, [&](const HotChain& each) { return value(each, now_s, cost); });
}

void HotChains::drop(const HotChain& chain) {
    chains_.erase(chains_.begin() + (&chain - chains_.data()));
}

}  // namespace sutazai::artifact
