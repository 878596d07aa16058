#include "sched/host_tier.h"

#include <algorithm>

namespace sutazai::sched {
namespace {

/// Fewer tokens than this are not worth a copy to host memory or from there.
constexpr int kLeastHostTokens = 32;

void drop(const std::vector<BlockId>& blocks, std::vector<KvOp>& ops) {
    for (const BlockId block : blocks) ops.emplace_back(Drop{block});
}

}  // namespace

bool HostTier::pays(int n_tokens, Time per_prefill_token) const {
    if (n_tokens < kLeastHostTokens) return false;
    const int whole = n_tokens / kBlockTokens;
    const auto took = whole * load_cost_.of(kBlockTokens) + load_cost_.of(n_tokens - whole * kBlockTokens);
    return took <= n_tokens * per_prefill_token;
}

void HostTier::save(SlotId slot, std::uint64_t salt, std::span<const Token> tokens, std::vector<KvOp>& ops) {
    const int n = static_cast<int>(tokens.size());
    const int held = blocks_.covered(salt, tokens);
    if (const auto pieces = blocks_.find(salt, tokens.first(held)); !pieces.empty()) touch(pieces.back().block);
    std::vector<BlockId> dropped;
    for (int first = held; first < n; first += kBlockTokens) {
        const int end = std::min(first + kBlockTokens, n);
        const auto bytes = static_cast<std::uint64_t>(end - first) * bytes_per_token_;
        const BlockId block = blocks_.add(salt, tokens.first(end), bytes, dropped);
        if (block == kNoBlock) break;
        ops.emplace_back(Save{slot, first, end - first, block});
    }
    drop(dropped, ops);
}

std::optional<Load> HostTier::next_load(SlotId slot, std::uint64_t salt, std::span<const Token> wanted,
                                        int n_held) const {
    const auto pieces = blocks_.find(salt, wanted);
    const auto index = static_cast<std::size_t>(n_held / kBlockTokens);
    if (index >= pieces.size()) return std::nullopt;
    const auto [block, n_common] = pieces[index];
    const int n = static_cast<int>(index) * kBlockTokens + n_common - n_held;
    if (n <= 0) return std::nullopt;
    return Load{slot, n_held, n, block};
}

int HostTier::n_held(std::uint64_t salt, std::span<const Token> tokens) const {
    if (blocks_.count() == 0) return 0;
    int n = 0;
    for (const auto& piece : blocks_.find(salt, tokens)) n += piece.n_tokens;
    return n;
}

void HostTier::saved(BlockId block, std::uint64_t bytes, std::vector<KvOp>& ops) {
    if (!blocks_.contains(block)) return;  // dropped by a later operation of the same step
    std::vector<BlockId> dropped;
    blocks_.resize(block, bytes, dropped);
    drop(dropped, ops);
}

void HostTier::remove(BlockId block, std::vector<KvOp>& ops) {
    std::vector<BlockId> dropped;
    blocks_.remove(block, dropped);
    drop(dropped, ops);
}

BlockId HostTier::import(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes,
                         std::vector<KvOp>& ops) {
    const std::size_t first = (tokens.size() - 1) / kBlockTokens * kBlockTokens;
    const auto held = static_cast<std::size_t>(blocks_.covered(salt, tokens));
    if (held < first || held == tokens.size()) return kNoBlock;
    std::vector<BlockId> dropped;
    const BlockId block = blocks_.add(salt, tokens, bytes, dropped);
    drop(dropped, ops);
    return block;
}

}  // namespace sutazai::sched
