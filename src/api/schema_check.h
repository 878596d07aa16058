#pragma once

#include <boost/json/value.hpp>
#include <string>

/// Which JSON Schemas a text can be held to. Pure.
namespace sutazai::api {

/// llama.cpp turns a schema into a grammar and leaves out what it has no means for; the text would then break the
/// schema. This finds such parts: what is wrong with `schema`, in words that follow its name ("uses ... at ..."), or
/// nothing. Known are type, enum, const, anyOf, $ref to $defs, properties, required, additionalProperties, items or
/// prefixItems, minItems, maxItems, minLength, maxLength, pattern (anchored, without wildcards), format (date, time,
/// date-time, uuid), and the bounds of integers. Annotations and unknown keywords do not matter.
[[nodiscard]] std::string unsupported_in(const boost::json::value& schema);

/// Can a string be held to this regular expression: ^...$ of ASCII letters and signs, groups, alternatives, repetitions
/// and positive character classes that hold neither '"' nor '\'?
[[nodiscard]] bool is_supported_pattern(std::string_view pattern);

}  // namespace sutazai::api
