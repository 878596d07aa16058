#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/kv_cells.h"
#include "sched/types.h"

namespace sutazai::sched {

/// The books of the KV states that are kept outside the KV memory, in host memory. A token sequence is cut into blocks:
/// block i covers its tokens [i * kBlockTokens, (i + 1) * kBlockTokens), the last one maybe fewer. Blocks form a tree,
/// a block's parent being what stands before it, so that token sequences that begin alike keep what they share once.
/// The least recently used block without children goes first when the bytes run out. The states themselves belong to
/// the caller, who finds them by number. Pure data structure, one thread.
class BlockCache {
  public:
    explicit BlockCache(std::uint64_t budget_bytes);
    ~BlockCache();
    BlockCache(const BlockCache&) = delete;
    BlockCache& operator=(const BlockCache&) = delete;

    /// The first n_tokens of `block` agree with what was asked for.
    struct Piece {
        BlockId block;
        int n_tokens;
        bool operator==(const Piece&) const = default;
    };
    /// The longest beginning of `tokens` that blocks of this salt (a tenant) hold, in order from its first token; all
    /// pieces but the last are whole blocks of kBlockTokens. Does not count as a use.
    [[nodiscard]] std::vector<Piece> find(std::uint64_t salt, std::span<const Token> tokens) const;

    /// How many of the first of `tokens` stand in whole blocks, or in a last one that ends where they end.
    [[nodiscard]] int covered(std::uint64_t salt, std::span<const Token> tokens) const;

    /// Adds the block that ends with `tokens`, whose earlier blocks must all be here; a shorter last block that it
    /// continues is replaced. Blocks that had to make room are appended to `dropped`. kNoBlock when it does not fit
    /// even so (nothing is added then, though something may have been dropped).
    [[nodiscard]] BlockId add(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes,
                              std::vector<BlockId>& dropped);

    /// Every block with its salt and the tokens from the first to its last, a block before those that continue it;
    /// leaf: no whole block continues it.
    void for_each(const std::function<void(std::uint64_t salt, std::span<const Token> tokens, BlockId block,
                                           bool leaf)>& visit) const;
    /// What the block, which must be here, really takes; others may have to make room, which are appended to `dropped`,
    /// in the end the block itself.
    void resize(BlockId block, std::uint64_t bytes, std::vector<BlockId>& dropped);
    /// Block and what it continues have just been used.
    void touch(BlockId block);
    /// Takes a block and all that continue it out; they are appended to `dropped`. Unknown numbers are ignored.
    void remove(BlockId block, std::vector<BlockId>& dropped);

    [[nodiscard]] bool contains(BlockId block) const { return blocks_.contains(block); }
    [[nodiscard]] int tokens(BlockId block) const;  ///< in the block, which must be here
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t budget() const { return budget_; }
    [[nodiscard]] int count() const { return static_cast<int>(blocks_.size()); }

    /// Aborts the process when an invariant is broken. For tests; O(size).
    void check() const;

  private:
    struct Block;
    struct Match {
        Block* block;
        int n_tokens;
    };
    [[nodiscard]] Match best_child(const std::vector<Block*>& children, std::span<const Token> rest) const;
    [[nodiscard]] const std::vector<Block*>* children_of_root(std::uint64_t salt) const;
    [[nodiscard]] bool make_room(std::uint64_t bytes, const Block* spared, std::vector<BlockId>& dropped);
    void erase(Block* block, std::vector<BlockId>& dropped);
    void use(Block* block);

    std::uint64_t budget_;
    std::uint64_t bytes_ = 0;
    std::uint64_t uses_ = 0;
    BlockId next_ = 1;
    std::unordered_map<std::uint64_t, std::vector<Block*>> roots_;  ///< by salt
    std::unordered_map<BlockId, std::unique_ptr<Block>> blocks_;
    std::set<std::pair<std::uint64_t, BlockId>> leaves_;  ///< (last use, block): those without children
};

}  // namespace sutazai::sched
