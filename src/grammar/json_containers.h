#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "grammar/expression.h"
#include "grammar/schema_limits.h"

/// Arrays and objects as expressions, made of the expressions of their items and members. Blanks stand where
/// json_text.h says.
namespace sutazai::grammar {

/// Between two items or members, and between a name and its value.
[[nodiscard]] Expression comma();
[[nodiscard]] Expression colon();

/// An array of so many items. `item(i)` is the one at place i; from place `n_first` on all are alike. Adds rules.
[[nodiscard]] Expression array_text(const CountRange& count, std::size_t n_first,
                                    const std::function<Expression(std::size_t place)>& item, Rules& rules);

/// A member that may come, or must.
struct MemberText {
    bool is_required = false;
    Expression text;  ///< its name, the colon and its value
};
/// An object of so many members: those listed in their order, then any number of others, if there may be others. A rule
/// for each place and each number of members so far that matters: (members + 1) * counts_told_apart(count). Members
/// that are required count towards count.least, which is 0 or more than their number.
[[nodiscard]] Expression object_text(const CountRange& count, const std::vector<MemberText>& members,
                                     const std::optional<Expression>& other, Rules& rules);
[[nodiscard]] std::uint64_t counts_told_apart(const CountRange& count);

}  // namespace sutazai::grammar
