#include "grammar/schema_strings.h"

#include <fmt/format.h>

#include <string>

#include "grammar/pattern.h"

namespace sutazai::grammar {

namespace {

/// Days that there are: 29 February in leap years only.
constexpr std::string_view kDate =
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|"
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
constexpr std::string_view kTime =
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
constexpr std::string_view kUuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
constexpr std::string_view kByte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

std::string pattern_of(std::string_view format) {
    if (format == "date") return fmt::format("^{}$", kDate);
    if (format == "time") return fmt::format("^{}$", kTime);
    if (format == "date-time") return fmt::format("^{}T{}$", kDate, kTime);
    if (format == "uuid") return fmt::format("^{}$", kUuid);
    if (format == "ipv4") return fmt::format("^{0}(\\.{0}){{3}}$", kByte);
    return {};
}

}  // namespace

Checked<Expression> characters_by(std::string_view keyword, const boost::json::value& value) {
    if (!value.is_string()) return wrong(fmt::format("has {} that is no string", keyword));
    std::string pattern(std::string_view(value.get_string()));
    if (keyword == "format") {
        pattern = pattern_of(pattern);
        if (pattern.empty()) return unsupported("uses a format other than date, time, date-time, uuid and ipv4");
    }
    return read_pattern(pattern);
}

}  // namespace sutazai::grammar
