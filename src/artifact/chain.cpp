#include "artifact/chain.h"

#include <algorithm>
#include <bit>

namespace sutazai::artifact {

static_assert(std::endian::native == std::endian::little, "tokens are hashed and stored as they lie in memory");

ChainHash chain_root(const Digest& fingerprint, std::string_view salt) {
    Sha256 sum;
    sum.add(std::string_view("sutazai chain root 1\n"));
    sum.add(Bytes(fingerprint));
    sum.add(salt);
    return sum.finish();
}

ChainHash chain_hash(const ChainHash& parent, std::span<const Token> tokens) {
    // The parent has a fixed length, so no other parent and tokens give the same bytes; a root begins with text that no
    // other sum begins with, save by finding a hash that spells it.
    Sha256 sum;
    sum.add(Bytes(parent));
    sum.add(std::as_bytes(tokens));
    return sum.finish();
}

std::vector<ChainBlock> chain_blocks(const ChainHash& root, std::span<const Token> tokens, bool with_tail) {
    std::vector<ChainBlock> blocks;
    blocks.reserve(tokens.size() / kBlockTokens + 1);
    ChainHash parent = root;
    for (std::size_t first = 0; first < tokens.size(); first += kBlockTokens) {
        const std::size_t n = std::min<std::size_t>(kBlockTokens, tokens.size() - first);
        if (n < kBlockTokens && !with_tail) break;
        const ChainHash hash = chain_hash(parent, tokens.subspan(first, n));
        blocks.push_back({parent, hash, static_cast<int>(first), static_cast<int>(n)});
        parent = hash;
    }
    return blocks;
}

}  // namespace sutazai::artifact
