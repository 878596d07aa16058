#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What a text may be: expressions over characters, and rules that name them. GBNF and JSON Schemas are read into this,
/// Automaton is made of it. Plain values; no threads.
namespace sutazai::grammar {

using RuleId = std::int32_t;

/// Code points from `first` to `last`, both included.
struct CharRange {
    char32_t first;
    char32_t last;

    bool operator==(const CharRange&) const = default;
};
using CharClass = std::vector<CharRange>;

inline constexpr char32_t kLastChar = 0x10FFFF;

/// In order, without overlaps, and without surrogates, which no text holds.
[[nodiscard]] CharClass normalized(CharClass set);
/// All characters that are not in `set`.
[[nodiscard]] CharClass complement_of(const CharClass& set);

struct Expression {
    enum class Kind : std::uint8_t {
        kNothing,   ///< no text at all, not even the empty one
        kText,      ///< these bytes; the empty text when there are none
        kClass,     ///< one character of a class
        kRule,      ///< what a rule says
        kToken,     ///< one token of the vocabulary, by number
        kTokenNot,  ///< any other token that has a text
        kSequence,  ///< one after the other
        kChoice,    ///< any of them
        kRepeat,    ///< the one part, `least` to `most` times
    };

    Kind kind = Kind::kText;
    std::string text = {};
    CharClass set = {};
    std::int32_t number = 0;  ///< of a rule or a token
    std::uint32_t least = 0;
    std::uint32_t most = 0;  ///< kEndless: no limit
    std::vector<Expression> parts = {};
};

inline constexpr std::uint32_t kEndless = std::numeric_limits<std::uint32_t>::max();

[[nodiscard]] Expression nothing();
[[nodiscard]] Expression text(std::string_view bytes);
[[nodiscard]] Expression one_of(CharClass set);
[[nodiscard]] Expression rule(RuleId id);
[[nodiscard]] Expression repeat(Expression part, std::uint32_t least, std::uint32_t most);
[[nodiscard]] Expression optional(Expression part);
[[nodiscard]] Expression sequence(std::vector<Expression> parts);
[[nodiscard]] Expression choice(std::vector<Expression> parts);

/// Rules by number. Rule 0 is the whole text.
class Rules {
  public:
    /// A new rule, which says nothing yet. `name` is for messages only: two rules may share one.
    RuleId add(std::string name);
    RuleId add(std::string name, Expression body);
    void define(RuleId id, Expression body) { rules_[static_cast<std::size_t>(id)].body = std::move(body); }

    [[nodiscard]] std::size_t size() const { return rules_.size(); }
    [[nodiscard]] const std::string& name(RuleId id) const { return rules_[static_cast<std::size_t>(id)].name; }
    [[nodiscard]] const Expression& body(RuleId id) const { return rules_[static_cast<std::size_t>(id)].body; }

  private:
    struct Rule {
        std::string name;
        Expression body;
    };
    std::vector<Rule> rules_;
};

}  // namespace sutazai::grammar
