#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "sched/types.h"

namespace sutazai::sched {

/// A radix tree over token ids: which slots hold which token sequences, and how far a new one agrees with
/// them. A slot stands in every node along its own. Pure data structure, one thread.
class PrefixTree {
  public:
    PrefixTree();
    ~PrefixTree();
    PrefixTree(const PrefixTree&) = delete;
    PrefixTree& operator=(const PrefixTree&) = delete;

    /// Adds `slot`, which must not be in the tree, with these tokens (may be none).
    void insert(SlotId slot, std::span<const Token> tokens);
    /// Lengthens what `slot`, which must be in the tree, holds.
    void extend(SlotId slot, std::span<const Token> more);
    /// Takes `slot`, which must be in the tree, out.
    void remove(SlotId slot);

    /// Calls `visit(n_common, slots)` for each node below the root that agrees with `tokens`, from the root down: the
    /// first n_common tokens of all `slots` are those of `tokens`; n_common grows from call to
    /// call.
    void walk(std::span<const Token> tokens,
              const std::function<void(int n_common, std::span<const SlotId> slots)>& visit) const;

    [[nodiscard]] bool empty() const { return ends_.empty(); }
    [[nodiscard]] int length(SlotId slot) const;   ///< of what it holds, in tokens
    [[nodiscard]] std::size_t node_count() const;  ///< for tests: the tree stays compact

    /// Aborts the process when an invariant is broken. For tests; O(size).
    void check() const;

  private:
    struct Node;
    struct End {
        Node* node;
        int length;
    };

    Node* split(Node* node, std::size_t at);
    void merge_upward(Node* node);

    std::unique_ptr<Node> root_;
    std::unordered_map<SlotId, End> ends_;
};

}  // namespace sutazai::sched
