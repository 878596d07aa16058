#include "cli/config_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "base/json_text.h"

namespace sutazai::cli {
namespace {

std::string_view shown(const config::SettingInfo& row) {
    return row.value.empty() ? "-" : std::string_view(row.value);
}

}  // namespace

std::string config_table(const std::vector<config::SettingInfo>& rows) {
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    for (const auto& row : rows) {
        name_width = std::max(name_width, row.name.size());
        value_width = std::max(value_width, shown(row).size());
    }
    std::string text;
    for (const auto& row : rows) {
        text +=
            fmt::format("{:<{}}  {:<{}}  {}\n", row.name, name_width, shown(row), value_width, to_string(row.source));
    }
    return text;
}

std::string config_json(const std::vector<config::SettingInfo>& rows) {
    std::string text;
    for (const auto& row : rows) {
        text += text.empty() ? "[\n  " : ",\n  ";
        append_json(text, boost::json::object{{"name", row.name},
                                              {"value", row.value},
                                              {"source", to_string(row.source)},
                                              {"flag", row.flag},
                                              {"description", row.description}});
    }
    return text + "\n]\n";
}

}  // namespace sutazai::cli
