#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "config/value_parsers.h"

/// The table behind load() and describe(): one row a setting.
namespace sutazai::config {

struct SettingRow {
    std::string name;  ///< in the environment
    std::string flag;
    std::string description;
    std::function<Parsed<void>(Settings&, std::string_view)> set;
    std::function<std::string(const Settings&)> show;
    bool secret = false;             ///< neither printed nor quoted in errors
    bool hides_wrong_value = false;  ///< not quoted in errors
};

/// In the order of .env.example.
[[nodiscard]] const std::vector<SettingRow>& setting_rows();

}  // namespace sutazai::config
