#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "artifact/block.h"
#include "artifact/chain.h"
#include "base/digest.h"

namespace sutazai::engine {

/// The blocks that are on the disk or on their way there, as the chains that they make: what a prompt can find there is
/// looked up without the disk. Pure; not thread-safe.
class KnownBlocks {
  public:
    using ChainHash = artifact::ChainHash;
    using Tokens = std::vector<artifact::Token>;
    struct Block {
        ChainHash parent{};
        int first = 0;  ///< position of its first token
        std::uint64_t bytes = 0;
        Tokens tokens = {};  ///< empty: not read from the disk yet
    };

    /// These are all that there are; tokens that were known of them stay known.
    void replace(std::vector<std::pair<ChainHash, Block>> blocks);
    void add(const ChainHash& hash, Block block);  ///< nothing when it is known
    void forget(const ChainHash& hash);
    void set_tokens(const ChainHash& hash, const Tokens& tokens);

    [[nodiscard]] bool empty() const { return blocks_.empty(); }
    [[nodiscard]] bool contains(const ChainHash& hash) const { return blocks_.contains(hash); }
    [[nodiscard]] const Block* find(const ChainHash& hash) const;
    /// The whole blocks that a chain begins with, from `root` on.
    [[nodiscard]] std::vector<ChainHash> beginning_of(const ChainHash& root,
                                                      std::span<const artifact::Token> chain) const;
    /// What goes on from `parent`, so many blocks at most, with what is known of their tokens.
    [[nodiscard]] std::vector<std::pair<ChainHash, Tokens>> after(const ChainHash& parent, std::size_t most) const;
    /// From the first block after `root` to this one; empty when it has another root, or one of them is not there.
    [[nodiscard]] std::vector<ChainHash> path_to(const ChainHash& hash, const ChainHash& root) const;
    struct Paths {
        std::vector<std::vector<ChainHash>> within;  ///< as path_to() has them
        std::size_t without_room = 0;                ///< those that would be next
    };
    /// The ways to the `wanted` ones, best first, whose blocks take `most_bytes` together.
    [[nodiscard]] Paths best_paths(std::span<const ChainHash> wanted, const ChainHash& root,
                                   std::uint64_t most_bytes) const;

  private:
    std::unordered_map<ChainHash, Block, DigestHash> blocks_;
    std::unordered_map<ChainHash, std::vector<ChainHash>, DigestHash> children_;
};

}  // namespace sutazai::engine
