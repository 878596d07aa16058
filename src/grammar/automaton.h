#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "grammar/expression.h"
#include "grammar/utf8_classes.h"
#include "grammar/work.h"

namespace sutazai::grammar {

inline constexpr std::size_t kMaxStates = std::size_t{1} << 19;

/// Rules as one network of states over bytes, in which a rule may call another. Made once, on any thread; constant from
/// then on.
class Automaton {
  public:
    struct State {
        enum class Kind : std::uint8_t {
            kBytes,     ///< a byte of set `number`, then `next`
            kToken,     ///< the token `number`, then `next`
            kTokenNot,  ///< a token other than `number`, then `next`
            kSplit,     ///< `next` or `number`, whatever comes
            kRule,      ///< what rule `number` says, then `next`
            kEnd,       ///< of rule `number`
        };
        Kind kind;
        bool useful;  ///< can its rule end from here?
        std::int32_t next;
        std::int32_t number;
    };

    /// kInvalidArgument, in words that follow the name of what was read, when a rule begins with itself, when no text
    /// can follow the rules, or when they are too large. kCancelled when it takes more than `work`.
    [[nodiscard]] static Result<Automaton> of(const Rules& rules, Work& work);

    /// That it takes.
    [[nodiscard]] std::size_t bytes() const {
        return states_.size() * sizeof(State) + by_class_.size() * sizeof(ByteSet);
    }

    [[nodiscard]] const State& state(std::int32_t id) const { return states_[static_cast<std::size_t>(id)]; }
    [[nodiscard]] std::size_t size() const { return states_.size(); }
    [[nodiscard]] std::size_t n_rules() const { return rules_.size(); }

    // Of a rule.
    [[nodiscard]] std::int32_t start(RuleId id) const { return rules_[static_cast<std::size_t>(id)].start; }
    [[nodiscard]] bool may_be_empty(RuleId id) const { return rules_[static_cast<std::size_t>(id)].may_be_empty; }
    /// A rule may begin only with rules of a higher rank.
    [[nodiscard]] std::int32_t rank(RuleId id) const { return rules_[static_cast<std::size_t>(id)].rank; }
    /// Does nothing but the end of its rule follow this state?
    [[nodiscard]] bool ends(std::int32_t state) const;

    /// Bytes that no state tells apart are one class.
    [[nodiscard]] std::uint8_t class_of(std::uint8_t byte) const { return classes_[byte]; }
    [[nodiscard]] int n_classes() const { return n_classes_; }
    [[nodiscard]] bool takes(std::int32_t set, std::uint8_t byte_class) const {
        return by_class_[static_cast<std::size_t>(set)][byte_class];
    }
    [[nodiscard]] bool names_tokens() const { return names_tokens_; }

  private:
    struct Rule {
        std::string name;
        std::int32_t start = -1;
        bool may_be_empty = false;
        std::int32_t rank = 0;
    };
    class Builder;

    void find_classes(const std::vector<ByteSet>& sets);
    void find_empty();
    void find_useful();
    [[nodiscard]] Result<void> find_ranks();

    std::vector<State> states_;
    std::vector<Rule> rules_;
    std::array<std::uint8_t, 256> classes_{};
    int n_classes_ = 1;
    std::vector<ByteSet> by_class_;  ///< of a set of bytes, the classes in it
    bool names_tokens_ = false;
};

}  // namespace sutazai::grammar
