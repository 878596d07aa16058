#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "grammar/expression.h"
#include "grammar/fault.h"

namespace sutazai::grammar {

/// The characters, without quotes, that the keyword `pattern` or `format` with this value lets a string have.
/// Formats are date, time, date-time, uuid and ipv4.
[[nodiscard]] Checked<Expression> characters_by(std::string_view keyword, const boost::json::value& value);

}  // namespace sutazai::grammar
