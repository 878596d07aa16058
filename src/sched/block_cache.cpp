#include "sched/block_cache.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace sutazai::sched {

struct BlockCache::Block {
    BlockId id = kNoBlock;
    Block* parent = nullptr;  ///< null: stands at the beginning of its token sequence
    std::uint64_t salt = 0;
    std::vector<Token> tokens;  ///< at most kBlockTokens; fewer only without children
    std::uint64_t bytes = 0;
    std::uint64_t last_use = 0;
    std::vector<Block*> children;

    [[nodiscard]] bool whole() const { return tokens.size() == kBlockTokens; }
};

BlockCache::BlockCache(std::uint64_t budget_bytes) : budget_(budget_bytes) {}
BlockCache::~BlockCache() = default;

BlockCache::Match BlockCache::best_child(const std::vector<Block*>& children, std::span<const Token> rest) const {
    Match best{nullptr, 0};
    for (Block* child : children) {
        const auto [end, unused] = std::ranges::mismatch(child->tokens, rest);
        const int n = static_cast<int>(end - child->tokens.begin());
        if (n > best.n_tokens) best = {child, n};
    }
    return best;
}

const std::vector<BlockCache::Block*>* BlockCache::children_of_root(std::uint64_t salt) const {
    const auto found = roots_.find(salt);
    return found == roots_.end() ? nullptr : &found->second;
}

std::vector<BlockCache::Piece> BlockCache::find(std::uint64_t salt, std::span<const Token> tokens) const {
    std::vector<Piece> pieces;
    const std::vector<Block*>* children = children_of_root(salt);
    while (children != nullptr && !tokens.empty()) {
        const Match match = best_child(*children, tokens);
        if (match.block == nullptr) break;
        pieces.push_back({match.block->id, match.n_tokens});
        if (match.n_tokens < kBlockTokens) break;
        tokens = tokens.subspan(kBlockTokens);
        children = &match.block->children;
    }
    return pieces;
}

int BlockCache::covered(std::uint64_t salt, std::span<const Token> tokens) const {
    int n = 0;
    for (const Piece& piece : find(salt, tokens)) n += piece.n_tokens;
    return n == static_cast<int>(tokens.size()) ? n : n - n % kBlockTokens;
}

BlockId BlockCache::add(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes,
                        std::vector<BlockId>& dropped) {
    assert(!tokens.empty());
    Block* parent = nullptr;
    const std::size_t first = (tokens.size() - 1) / kBlockTokens * kBlockTokens;
    if (first > 0) {
        const std::vector<Piece> before = find(salt, tokens.first(first));
        assert(before.size() * kBlockTokens == first && before.back().n_tokens == kBlockTokens);
        parent = blocks_.at(before.back().block).get();
    }
    if (!make_room(bytes, parent, dropped)) return kNoBlock;
    auto owned = std::make_unique<Block>();
    Block* block = owned.get();
    block->id = next_++;
    block->parent = parent;
    block->salt = salt;
    block->tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first), tokens.end());
    block->bytes = bytes;
    std::vector<Block*>& siblings = parent != nullptr ? parent->children : roots_[salt];
    const auto continued = std::ranges::find_if(siblings, [&](const Block* other) {
        return other->tokens.size() < block->tokens.size() &&
               std::ranges::equal(other->tokens, std::span(block->tokens).first(other->tokens.size()));
    });
    Block* shorter = continued == siblings.end() ? nullptr : *continued;
    siblings.push_back(block);
    if (parent != nullptr) leaves_.erase({parent->last_use, parent->id});
    bytes_ += bytes;
    const BlockId id = block->id;
    blocks_.emplace(id, std::move(owned));
    leaves_.insert({block->last_use, id});
    use(block);
    if (shorter != nullptr) erase(shorter, dropped);
    return id;
}

/// Drops leaves, oldest first and never `spared`, until `bytes` more fit.
bool BlockCache::make_room(std::uint64_t bytes, const Block* spared, std::vector<BlockId>& dropped) {
    if (bytes > budget_) return false;
    while (bytes_ + bytes > budget_) {
        auto oldest = leaves_.begin();
        if (oldest != leaves_.end() && spared != nullptr && oldest->second == spared->id) ++oldest;
        if (oldest == leaves_.end()) return false;
        erase(blocks_.at(oldest->second).get(), dropped);
    }
    return true;
}

/// `block` has no children.
void BlockCache::erase(Block* block, std::vector<BlockId>& dropped) {
    assert(block->children.empty());
    leaves_.erase({block->last_use, block->id});
    if (block->parent != nullptr) {
        std::erase(block->parent->children, block);
        if (block->parent->children.empty()) leaves_.insert({block->parent->last_use, block->parent->id});
    } else {
        const auto root = roots_.find(block->salt);
        std::erase(root->second, block);
        if (root->second.empty()) roots_.erase(root);
    }
    bytes_ -= block->bytes;
    dropped.push_back(block->id);
    blocks_.erase(block->id);
}

void BlockCache::use(Block* block) {
    ++uses_;
    for (Block* b = block; b != nullptr; b = b->parent) {
        const bool leaf = b->children.empty();
        if (leaf) leaves_.erase({b->last_use, b->id});
        b->last_use = uses_;
        if (leaf) leaves_.insert({b->last_use, b->id});
    }
}

int BlockCache::tokens(BlockId block) const {
    return static_cast<int>(blocks_.at(block)->tokens.size());
}

void BlockCache::touch(BlockId block) {
    use(blocks_.at(block).get());
}

void BlockCache::for_each(
    const std::function<void(std::uint64_t, std::span<const Token>, BlockId, bool)>& visit) const {
    std::vector<Token> tokens;
    const std::function<void(const Block&)> descend = [&](const Block& block) {
        tokens.insert(tokens.end(), block.tokens.begin(), block.tokens.end());
        visit(block.salt, tokens, block.id, std::ranges::none_of(block.children, &Block::whole));
        for (const Block* child : block.children) descend(*child);
        tokens.resize(tokens.size() - block.tokens.size());
    };
    for (const auto& [salt, roots] : roots_) {
        for (const Block* root : roots) descend(*root);
    }
}

void BlockCache::resize(BlockId id, std::uint64_t bytes, std::vector<BlockId>& dropped) {
    Block* block = blocks_.at(id).get();
    bytes_ += bytes - block->bytes;
    block->bytes = bytes;
    while (bytes_ > budget_) erase(blocks_.at(leaves_.begin()->second).get(), dropped);
}

void BlockCache::remove(BlockId id, std::vector<BlockId>& dropped) {
    const auto found = blocks_.find(id);
    if (found == blocks_.end()) return;
    Block* block = found->second.get();
    while (!block->children.empty()) remove(block->children.back()->id, dropped);
    erase(block, dropped);
}

void BlockCache::check() const {
    const auto demand = [](bool holds) {
        if (!holds) std::abort();
    };
    std::uint64_t bytes = 0;
    std::size_t leaves = 0;
    for (const auto& [id, block] : blocks_) {
        demand(block->id == id && !block->tokens.empty() && block->tokens.size() <= kBlockTokens);
        demand(block->whole() || block->children.empty());
        demand(block->parent == nullptr || (block->parent->whole() && block->parent->salt == block->salt &&
                                            block->parent->last_use >= block->last_use));
        const auto& siblings = block->parent != nullptr ? block->parent->children : roots_.at(block->salt);
        demand(std::ranges::count(siblings, block.get()) == 1);
        for (const Block* other : siblings) demand(other == block.get() || other->tokens != block->tokens);
        if (block->children.empty()) {
            ++leaves;
            demand(leaves_.contains({block->last_use, id}));
        }
        bytes += block->bytes;
    }
    demand(leaves == leaves_.size() && bytes == bytes_ && bytes_ <= budget_);
}

}  // namespace sutazai::sched
