#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "grammar/expression.h"

namespace sutazai::grammar {

inline constexpr int kMaxGbnfDepth = 64;  ///< of parentheses

/// The number of a token of the vocabulary that is written like this, "<|im_end|>" say.
using TokenNamed = std::function<std::optional<std::int32_t>(std::string_view)>;

/// GBNF, llama.cpp's language for grammars, with a rule named root. kInvalidArgument, in words that follow the
/// grammar's name and tell the line. Repetitions are taken exactly, where llama.cpp gives up counting at 2,000.
[[nodiscard]] Result<Rules> read_gbnf(std::string_view gbnf, const TokenNamed& token_named = {});

}  // namespace sutazai::grammar
