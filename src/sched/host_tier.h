#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sched/block_cache.h"
#include "sched/linear_cost.h"
#include "sched/types.h"

namespace sutazai::sched {

/// What the KV memory has no room for: it goes to host memory in blocks, and comes back from there when copying is
/// quicker than computing, as measured. Operations that become necessary are appended to `ops`. One thread.
class HostTier {
  public:
    HostTier(std::uint64_t budget_bytes, std::uint64_t bytes_per_token)
        : blocks_(budget_bytes), bytes_per_token_(bytes_per_token) {}

    [[nodiscard]] const BlockCache& blocks() const { return blocks_; }

    /// Is copying so many tokens worth it, and quicker than computing them?
    [[nodiscard]] bool pays(int n_tokens, Time per_prefill_token) const;
    /// A Load of `n_tokens` took this long.
    void observe_load(int n_tokens, Time took) { load_cost_.observe(n_tokens, took); }

    /// Saves of what is not here yet of `tokens`, which `slot` has computed.
    void save(SlotId slot, std::uint64_t salt, std::span<const Token> tokens, std::vector<KvOp>& ops);
    /// What to load next into `slot`, which holds the first `n_held` of `wanted`; none: nothing more is here.
    [[nodiscard]] std::optional<Load> next_load(SlotId slot, std::uint64_t salt, std::span<const Token> wanted,
                                                int n_held) const;
    /// How many of the first of `tokens` are here.
    [[nodiscard]] int n_held(std::uint64_t salt, std::span<const Token> tokens) const;
    void touch(BlockId block) { blocks_.touch(block); }  ///< it has just been used

    /// A Save took so many bytes.
    void saved(BlockId block, std::uint64_t bytes, std::vector<KvOp>& ops);
    /// The block is of no use.
    void remove(BlockId block, std::vector<KvOp>& ops);
    /// A state from elsewhere, of the block that ends `tokens`, whose earlier blocks must be here. kNoBlock when it is
    /// not wanted.
    [[nodiscard]] BlockId import(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes,
                                 std::vector<KvOp>& ops);

  private:
    BlockCache blocks_;
    std::uint64_t bytes_per_token_;  ///< expected, until saved() tells
    LinearCost load_cost_;
};

}  // namespace sutazai::sched
