#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/work.h"

namespace sutazai::grammar {

/// Runs an automaton over bytes. What it has come to, a *position*, is the set of all states that the text so far
/// allows, each with the rules that it returns to. Callers that wait at the same place for the same rule share one list
/// of returns (a graph-structured stack), so that an ambiguous grammar costs the product of states and lists and not
/// their powers; equal positions and lists are one, however they came about, and each step from one is computed once.
/// One thread at a time.
class Matcher {
  public:
    using Position = std::int32_t;
    static constexpr Position kDead = -1;     ///< the text breaks the grammar
    static constexpr Position kTooDear = -2;  ///< there was not work enough to tell; ask again with more

    explicit Matcher(std::shared_ptr<const Automaton> automaton);
    ~Matcher() = default;
    Matcher(const Matcher&) = delete;  // its indexes look into it
    Matcher& operator=(const Matcher&) = delete;

    /// Before the first byte, or kTooDear.
    [[nodiscard]] Position start(Work& work);
    [[nodiscard]] Position step(Position from, std::uint8_t byte, Work& work) {
        const Position known = steps_[static_cast<std::size_t>(from) * n_classes_ + automaton_->class_of(byte)];
        return known != kUnknown ? known : compute_step(from, automaton_->class_of(byte), work);
    }
    [[nodiscard]] Position walk(Position from, std::string_view bytes, Work& work);
    [[nodiscard]] bool may_end(Position at) const { return positions_[static_cast<std::size_t>(at)].may_end; }

    /// By what the grammar says of tokens by number. `has_text`: others than one that is named mean this one, too.
    [[nodiscard]] Position step_token(Position from, std::int32_t token, bool has_text, Work& work);
    struct NamedTokens {
        std::vector<std::int32_t> tokens;   ///< these
        std::vector<std::int32_t> all_but;  ///< each: all others
    };
    [[nodiscard]] NamedTokens named_tokens(Position at) const;
    /// What is allowed by one or the other; neither is kDead or kTooDear.
    [[nodiscard]] Position either(Position a, Position b, Work& work);

    /// Bytes that positions take. forget_all_but() gives them back.
    [[nodiscard]] std::size_t bytes() const;
    /// Only `at` is kept; its new number. All other positions are gone.
    [[nodiscard]] Position forget_all_but(Position at);

    [[nodiscard]] std::size_t n_positions() const { return positions_.size(); }
    [[nodiscard]] const Automaton& automaton() const { return *automaton_; }

  private:
    static constexpr Position kUnknown = -3;
    using Node = std::int32_t;                    ///< a list of returns
    using Pair = std::uint64_t;                   ///< state and node
    static constexpr Pair kEndOfText = ~Pair{0};  ///< in a list: nothing to return to
    struct Span {
        std::size_t begin = 0;
        std::size_t size = 0;
        bool may_end = false;
    };
    struct Call {
        std::int32_t rank;
        RuleId rule;
        std::int32_t next;
        Node node;
    };
    /// Pairs that were seen in this step.
    class Seen {
      public:
        void clear();
        bool insert(Pair pair);  ///< false when it is there already

      private:
        void grow();
        std::vector<std::pair<Pair, std::uint32_t>> table_ = std::vector<std::pair<Pair, std::uint32_t>>(256);
        std::uint32_t epoch_ = 1;
        std::size_t count_ = 0;
    };
    struct Hash {
        const std::vector<Pair>* values;
        const std::vector<Span>* spans;
        std::size_t operator()(std::int32_t id) const;
    };
    struct Equal {
        const std::vector<Pair>* values;
        const std::vector<Span>* spans;
        bool operator()(std::int32_t a, std::int32_t b) const;
    };
    using Index = std::unordered_set<std::int32_t, Hash, Equal>;

    Position compute_step(Position from, std::uint8_t byte_class, Work& work);
    void begin();
    void reach(std::int32_t state, Node node);
    [[nodiscard]] bool follow(Work& work);
    [[nodiscard]] bool enter_rules(Work& work);
    [[nodiscard]] Position finish(Work& work);
    Node intern_node(std::vector<Pair>& returns);
    Position intern_position(std::vector<Pair>& items, bool may_end);
    [[nodiscard]] std::span<const Pair> items(Position at) const;
    [[nodiscard]] std::span<const Pair> returns(Node node) const;

    std::shared_ptr<const Automaton> automaton_;
    std::size_t n_classes_;
    std::vector<Pair> items_, returns_;
    std::vector<Span> positions_, nodes_;
    Index position_index_, node_index_;
    std::vector<Position> steps_;  ///< [position][class of bytes]

    // Of the step being computed.
    Seen seen_;
    std::vector<Pair> to_follow_, reached_, merged_;
    std::vector<Call> calls_;  ///< a heap, the lowest rank first
    bool may_end_ = false;
};

}  // namespace sutazai::grammar
