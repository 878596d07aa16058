#pragma once

#include <boost/json/value.hpp>
#include <cstddef>

#include "base/error.h"
#include "grammar/expression.h"
#include "grammar/work.h"

namespace sutazai::grammar {

inline constexpr std::size_t kMaxSchemaRules = 8192;
/// Schemas that are taken together, each time that one is: combinations multiply them.
inline constexpr std::size_t kMaxSchemaParts = 32'768;

/// The JSON texts that meet a schema (draft 2020-12), as rules; nothing is left out of account: a keyword that limits a
/// value and is not known here, or not in this place, is refused. kInvalidArgument, in words that follow the schema's
/// name and tell the place: "uses contains at #/properties/a, which is not supported".
///
/// Not every text of every valid value can be written: members come in the order of the schema, other members after
/// them; numbers have at most kMaxDigits digits before and behind the point; whole numbers where a schema says integer
/// or bounds have no point or exponent; strings with a pattern, and names beside other properties, have no escape that
/// they do not need; blanks are those of json_text.h. No text of an invalid value can be written, but for names that
/// come twice among the members that the schema does not list. docs/structured-output.md says more.
///
/// At most kMaxSchemaRules rules of kMaxSchemaParts schemas. kCancelled when it takes more than `work`.
[[nodiscard]] Result<Rules> read_json_schema(const boost::json::value& schema, Work& work);

}  // namespace sutazai::grammar
