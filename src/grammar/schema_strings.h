#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "base/error.h"
#include "grammar/expression.h"

namespace sutazai::grammar {

/// The characters, without quotes, that the keyword `pattern` or `format` with this value lets a string have.
/// kInvalidArgument, in words that the schema's place follows. Formats are date, time, date-time, uuid and ipv4.
[[nodiscard]] Result<Expression> characters_by(std::string_view keyword, const boost::json::value& value);

}  // namespace sutazai::grammar
