#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

/// `sutazai config`. Pure.
namespace sutazai::cli {

/// One line a setting: name, value ("-" when empty), source; in columns.
[[nodiscard]] std::string config_table(const std::vector<config::SettingInfo>& rows);

/// An array of {"name", "value", "source", "flag", "description"}.
[[nodiscard]] std::string config_json(const std::vector<config::SettingInfo>& rows);

}  // namespace sutazai::cli
