#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "artifact/hash.h"
#include "base/kv_cells.h"

/// How a chain of tokens is cut into blocks, and what each block is called. Pure; any thread.
namespace sutazai::artifact {

using Token = std::int32_t;

/// Block i of a chain of n tokens holds the positions [256 i, min(256 (i + 1), n)). Only the last may be shorter.
using sutazai::kBlockTokens;

/// Names a chain of tokens together with the model, the settings and the tenant that it belongs to: SHA-256, whole. It
/// is a name that a client's prompt decides on, so nobody may be able to make two chains of one name (a quicker hash or
/// a short one would let a client plant a state under the name of a chain that others ask for); at 1 KB a block the
/// sum costs a microsecond.
using ChainHash = Digest;

/// The name of the empty chain. `fingerprint` is Fingerprint::digest(); `salt` keeps tenants apart (empty: shared by
/// all who give none).
[[nodiscard]] ChainHash chain_root(const Digest& fingerprint, std::string_view salt);

/// The name of the chain `parent` with `tokens` after it, at most kBlockTokens of them.
[[nodiscard]] ChainHash chain_hash(const ChainHash& parent, std::span<const Token> tokens);

struct ChainBlock {
    ChainHash parent;  ///< of the chain before this block; the root for the first
    ChainHash hash;    ///< of the chain with this block
    int first;         ///< position of its first token
    int n_tokens;
};

/// The blocks of a chain, first to last. With `with_tail` false only the full ones.
[[nodiscard]] std::vector<ChainBlock> chain_blocks(const ChainHash& root, std::span<const Token> tokens,
                                                   bool with_tail);

}  // namespace sutazai::artifact
