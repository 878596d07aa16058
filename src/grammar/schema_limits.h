#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "grammar/fault.h"
#include "grammar/number_range.h"

/// The keywords of a schema that are numbers. An upper bound that nothing reaches is none; a lower bound that nothing
/// reaches is refused; nothing wraps.
namespace sutazai::grammar {

/// How many characters, items or members there may be.
struct CountRange {
    std::uint32_t least = 0;
    std::uint32_t most = kEndless;
};

/// Narrows `range` by, say, minLength and maxLength.
[[nodiscard]] Checked<void> narrow(CountRange& range, const boost::json::object& node, std::string_view least,
                                   std::string_view most);
/// Narrows `range` by minimum, maximum, exclusiveMinimum and exclusiveMaximum.
[[nodiscard]] Checked<void> narrow(NumberRange& range, const boost::json::object& node);

}  // namespace sutazai::grammar
