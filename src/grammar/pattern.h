#pragma once

#include <string_view>

#include "base/error.h"
#include "grammar/expression.h"

namespace sutazai::grammar {

/// The characters of a string in which a regular expression of JSON Schema (ECMA-262) is found, each written plainly,
/// without the quotes. kInvalidArgument, in words that follow "a pattern", for what is none or cannot be had: looking
/// ahead or behind, references back, word boundaries, Unicode properties, and ^ and $ elsewhere than at the ends.
[[nodiscard]] Result<Expression> read_pattern(std::string_view pattern);

}  // namespace sutazai::grammar
