#include "engine/known_blocks.h"

#include <algorithm>
#include <unordered_set>

#include "base/kv_cells.h"

namespace sutazai::engine {

void KnownBlocks::replace(std::vector<std::pair<ChainHash, Block>> blocks) {
    auto before = std::exchange(blocks_, {});
    children_.clear();
    for (auto& [hash, block] : blocks) {
        const auto old = before.find(hash);
        if (old != before.end() && block.tokens.empty()) block.tokens = std::move(old->second.tokens);
        add(hash, std::move(block));
    }
}

void KnownBlocks::add(const ChainHash& hash, Block block) {
    const ChainHash parent = block.parent;
    if (blocks_.emplace(hash, std::move(block)).second) children_[parent].push_back(hash);
}

void KnownBlocks::forget(const ChainHash& hash) {
    const auto found = blocks_.find(hash);
    if (found == blocks_.end()) return;
    const auto siblings = children_.find(found->second.parent);
    std::erase(siblings->second, hash);
    if (siblings->second.empty()) children_.erase(siblings);
    blocks_.erase(found);
}

void KnownBlocks::set_tokens(const ChainHash& hash, const Tokens& tokens) {
    if (const auto found = blocks_.find(hash); found != blocks_.end()) found->second.tokens = tokens;
}

const KnownBlocks::Block* KnownBlocks::find(const ChainHash& hash) const {
    const auto found = blocks_.find(hash);
    return found == blocks_.end() ? nullptr : &found->second;
}

std::vector<artifact::ChainHash> KnownBlocks::beginning_of(const ChainHash& root,
                                                           std::span<const artifact::Token> chain) const {
    std::vector<ChainHash> path;
    ChainHash parent = root;
    for (; chain.size() >= kBlockTokens; chain = chain.subspan(kBlockTokens)) {
        parent = artifact::chain_hash(parent, chain.first(kBlockTokens));
        if (!blocks_.contains(parent)) break;
        path.push_back(parent);
    }
    return path;
}

std::vector<std::pair<artifact::ChainHash, KnownBlocks::Tokens>> KnownBlocks::after(const ChainHash& parent,
                                                                                    std::size_t most) const {
    std::vector<std::pair<ChainHash, Tokens>> out;
    const auto children = children_.find(parent);
    if (children == children_.end()) return out;
    for (const ChainHash& hash : children->second) {
        if (out.size() == most) break;
        out.emplace_back(hash, blocks_.at(hash).tokens);
    }
    return out;
}

std::vector<artifact::ChainHash> KnownBlocks::path_to(const ChainHash& hash, const ChainHash& root) const {
    std::vector<ChainHash> path;
    for (ChainHash at = hash; at != root;) {
        const Block* block = find(at);
        if (block == nullptr) return {};
        path.push_back(at);
        at = block->parent;
    }
    std::ranges::reverse(path);
    return path;
}

KnownBlocks::Paths KnownBlocks::best_paths(std::span<const ChainHash> wanted, const ChainHash& root,
                                           std::uint64_t most_bytes) const {
    Paths out;
    std::unordered_set<ChainHash, DigestHash> taken;
    for (const ChainHash& hash : wanted) {
        if (taken.contains(hash)) continue;
        std::vector<ChainHash> path = path_to(hash, root);
        if (path.empty()) continue;
        std::uint64_t bytes = 0;
        for (const ChainHash& block : path) bytes += taken.contains(block) ? 0 : find(block)->bytes;
        if (bytes > most_bytes) {
            ++out.without_room;
            continue;
        }
        most_bytes -= bytes;
        taken.insert(path.begin(), path.end());
        out.within.push_back(std::move(path));
    }
    return out;
}

}  // namespace sutazai::engine
