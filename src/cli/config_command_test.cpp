#include "cli/config_command.h"

#include <gtest/gtest.h>

namespace sutazai::cli {
namespace {

const std::vector<config::SettingInfo> kRows{
    {"BATCH_SIZE", "--batch-size", "8", config::Source::kDefault, "sequences"},
    {"HOST", "--host", "127.0.0.1", config::Source::kDotEnv, "an \"address\""},
    {"API_KEYS", "--api-keys", "", config::Source::kFlag, "keys"},
};

TEST(ConfigCommand, PrintsColumns) {
    EXPECT_EQ(config_table(kRows),
              "BATCH_SIZE  8          default\n"
              "HOST        127.0.0.1  .env\n"
              "API_KEYS    -          flag\n");
}

TEST(ConfigCommand, PrintsJson) {
    EXPECT_EQ(config_json({kRows[1], kRows[2]}),
              "[\n"
              R"(  {"name":"HOST","value":"127.0.0.1","source":".env","flag":"--host","description":"an \"address\""},)"
              "\n"
              R"(  {"name":"API_KEYS","value":"","source":"flag","flag":"--api-keys","description":"keys"})"
              "\n"
              "]\n");
}

}  // namespace
}  // namespace sutazai::cli
