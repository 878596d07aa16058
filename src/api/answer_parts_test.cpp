#include "api/answer_parts.h"

#include <gtest/gtest.h>

#include "base/json_text.h"

namespace sutazai::api {
namespace {

TEST(Timestamp, IsUtcWithMilliseconds) {
    using namespace std::chrono_literals;
    const auto when = std::chrono::sys_days{std::chrono::January / 26 / 2025} + 14h + 30min + 52s;
    EXPECT_EQ(timestamp(when + 7ms + 999us), "2025-01-26T14:30:52.007Z");
}

TEST(UsageJson, TotalDoesNotWrap) {
    EXPECT_EQ(to_json(usage_json({.prompt_tokens = 4294967295U, .completion_tokens = 2, .cached_tokens = 3})),
              R"({"prompt_tokens":4294967295,"completion_tokens":2,"total_tokens":4294967297,)"
              R"("prompt_tokens_details":{"cached_tokens":3}})");
}

}  // namespace
}  // namespace sutazai::api
