#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "grammar/expression.h"

/// JSON as expressions. Between the parts of a value one space may stand, or one or two line breaks with up to twenty
/// spaces or tabs: what people and models write, and no endless blank. Nothing stands before or after the text.
namespace sutazai::grammar {

[[nodiscard]] Expression blank();

/// One character in a string, in any way in which JSON writes it. No half of a surrogate pair.
[[nodiscard]] Expression string_char();
/// One character of `set` in a string, written plainly, or with the escape that it needs.
[[nodiscard]] Expression plain_char(const CharClass& set);

/// A string with its quotes, written plainly.
[[nodiscard]] Expression string_text(std::string_view utf8);
/// A value like this. Members of objects come in their order here.
[[nodiscard]] Expression value_text(const boost::json::value& value);

/// A string that is none of `names`, with its quotes, each character written plainly, so that none of the names comes
/// in disguise. Adds rules.
[[nodiscard]] Expression string_other_than(const std::vector<std::string>& names, Rules& rules);

}  // namespace sutazai::grammar
