#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/fault.h"

/// What several parts of the reading of schemas ask of one.
namespace sutazai::grammar {

/// The kinds of JSON values, as bits.
using Types = std::uint8_t;
inline constexpr Types kNull = 1;
inline constexpr Types kBoolean = 2;
inline constexpr Types kInteger = 4;
inline constexpr Types kFraction = 8;  ///< a number that is not whole
inline constexpr Types kNumber = kInteger | kFraction;
inline constexpr Types kString = 16;
inline constexpr Types kArray = 32;
inline constexpr Types kObject = 64;
inline constexpr Types kAnyType = 127;

[[nodiscard]] Types type_of(const boost::json::value& value);

/// The types that `type` names, if it names any.
[[nodiscard]] Checked<Types> types_named(const boost::json::value& type);

/// The value that `$ref` leads to, by a JSON pointer into the schema itself ("#", "#/$defs/a").
[[nodiscard]] Checked<const boost::json::value*> find_reference(const boost::json::value& root,
                                                                const boost::json::value& reference);

/// Equality of JSON Schema: 1 and 1.0 are the same, the order of members does not matter.
[[nodiscard]] bool equal(const boost::json::value& a, const boost::json::value& b);

/// The first keyword of `node` that limits values of `types` and cannot be kept; empty when there is none.
[[nodiscard]] std::string_view unsupported_keyword(const boost::json::object& node, Types types);

}  // namespace sutazai::grammar
