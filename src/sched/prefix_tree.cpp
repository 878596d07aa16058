#include "sched/prefix_tree.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <utility>

namespace sutazai::sched {

struct PrefixTree::Node {
    Node* parent = nullptr;
    std::vector<Token> edge;    ///< tokens between the parent and this node; empty for the root only
    std::vector<SlotId> slots;  ///< whose token sequence goes through or ends at the end of the edge
    std::map<Token, std::unique_ptr<Node>> children;  ///< by first token of their edge
};

PrefixTree::PrefixTree() : root_(std::make_unique<Node>()) {}
PrefixTree::~PrefixTree() = default;

/// Cuts `node`'s edge after `at` tokens; returns the new upper part, whose only child is `node`.
PrefixTree::Node* PrefixTree::split(Node* node, std::size_t at) {
    auto upper = std::make_unique<Node>();
    upper->parent = node->parent;
    upper->edge.assign(node->edge.begin(), node->edge.begin() + static_cast<std::ptrdiff_t>(at));
    upper->slots = node->slots;
    std::unique_ptr<Node>& place = node->parent->children.at(node->edge.front());
    std::unique_ptr<Node> lower = std::move(place);
    node->edge.erase(node->edge.begin(), node->edge.begin() + static_cast<std::ptrdiff_t>(at));
    node->parent = upper.get();
    Node* result = upper.get();
    upper->children.emplace(node->edge.front(), std::move(lower));
    place = std::move(upper);
    return result;
}

void PrefixTree::insert(SlotId slot, std::span<const Token> tokens) {
    assert(!ends_.contains(slot));
    root_->slots.push_back(slot);
    ends_[slot] = {root_.get(), 0};
    extend(slot, tokens);
}

void PrefixTree::extend(SlotId slot, std::span<const Token> more) {
    End& end = ends_.at(slot);
    end.length += static_cast<int>(more.size());
    Node* node = end.node;
    while (!more.empty()) {
        // The common case, one generated token at the tip of a token sequence of its own, lengthens an edge in place.
        if (node != root_.get() && node->children.empty() && node->slots.size() == 1) {
            node->edge.insert(node->edge.end(), more.begin(), more.end());
            break;
        }
        const auto found = node->children.find(more.front());
        if (found == node->children.end()) {
            auto leaf = std::make_unique<Node>();
            leaf->parent = node;
            leaf->edge.assign(more.begin(), more.end());
            leaf->slots.push_back(slot);
            Node* tip = leaf.get();
            node->children.emplace(more.front(), std::move(leaf));
            node = tip;
            break;
        }
        Node* child = found->second.get();
        const auto limit = std::min(child->edge.size(), more.size());
        std::size_t same = 1;
        while (same < limit && child->edge[same] == more[same]) ++same;
        if (same < child->edge.size()) child = split(child, same);
        child->slots.push_back(slot);
        node = child;
        more = more.subspan(same);
    }
    end.node = node;
}

void PrefixTree::remove(SlotId slot) {
    Node* node = ends_.at(slot).node;
    ends_.erase(slot);
    while (node != nullptr) {
        std::erase(node->slots, slot);
        Node* parent = node->parent;
        if (node->slots.empty() && parent != nullptr) {
            parent->children.erase(node->edge.front());
        } else {
            merge_upward(node);
        }
        node = parent;
    }
}

/// Joins `node` with its only child when no token sequence ends between them, so that old cuts do not pile up.
void PrefixTree::merge_upward(Node* node) {
    if (node == root_.get() || node->children.size() != 1) return;
    Node* child = node->children.begin()->second.get();
    if (child->slots.size() != node->slots.size()) return;
    std::unique_ptr<Node> owned = std::move(node->children.begin()->second);
    node->edge.insert(node->edge.end(), child->edge.begin(), child->edge.end());
    node->children = std::move(child->children);
    for (auto& [token, grandchild] : node->children) grandchild->parent = node;
    for (auto& [slot, end] : ends_) {
        if (end.node == child) end.node = node;
    }
}

void PrefixTree::walk(std::span<const Token> tokens,
                      const std::function<void(int, std::span<const SlotId>)>& visit) const {
    const Node* node = root_.get();
    int depth = 0;
    while (!tokens.empty()) {
        const auto found = node->children.find(tokens.front());
        if (found == node->children.end()) return;
        node = found->second.get();
        const auto limit = std::min(node->edge.size(), tokens.size());
        std::size_t same = 1;
        while (same < limit && node->edge[same] == tokens[same]) ++same;
        depth += static_cast<int>(same);
        visit(depth, node->slots);
        if (same < node->edge.size()) return;
        tokens = tokens.subspan(same);
    }
}

int PrefixTree::length(SlotId slot) const {
    return ends_.at(slot).length;
}

std::size_t PrefixTree::node_count() const {
    std::size_t count = 0;
    const std::function<void(const Node&)> visit = [&](const Node& node) {
        ++count;
        for (const auto& [token, child] : node.children) visit(*child);
    };
    visit(*root_);
    return count;
}

void PrefixTree::check() const {
    const auto demand = [](bool holds) {
        if (!holds) std::abort();
    };
    std::map<SlotId, std::pair<const Node*, int>> deepest;
    const std::function<void(const Node&, int)> visit = [&](const Node& node, int depth) {
        depth += static_cast<int>(node.edge.size());
        demand(node.parent == nullptr || !node.edge.empty());
        for (const SlotId slot : node.slots) {
            demand(ends_.contains(slot));
            if (auto& best = deepest[slot]; best.first == nullptr || depth > best.second) best = {&node, depth};
        }
        std::size_t below = 0;
        for (const auto& [token, child] : node.children) {
            demand(child->parent == &node && child->edge.front() == token && !child->slots.empty());
            for (const SlotId slot : child->slots) demand(std::ranges::count(node.slots, slot) == 1);
            below += child->slots.size();
            visit(*child, depth);
        }
        demand(below <= node.slots.size());
    };
    visit(*root_, 0);
    demand(deepest.size() == ends_.size());
    for (const auto& [slot, end] : ends_) {
        demand(deepest.at(slot).first == end.node && deepest.at(slot).second == end.length);
    }
}

}  // namespace sutazai::sched
