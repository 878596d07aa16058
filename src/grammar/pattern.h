#pragma once

#include <string_view>

#include "grammar/expression.h"
#include "grammar/fault.h"

namespace sutazai::grammar {

/// The characters of a string in which a regular expression of JSON Schema (ECMA-262) is found, each written plainly,
/// without the quotes. A fault tells at which character, from 1 on, it is no expression of ECMA-262 in Unicode mode, or
/// what in it cannot be had: looking ahead or behind, references back, word boundaries, Unicode properties, modifiers,
/// and ^ and $ elsewhere than at the ends.
[[nodiscard]] Checked<Expression> read_pattern(std::string_view pattern);

}  // namespace sutazai::grammar
