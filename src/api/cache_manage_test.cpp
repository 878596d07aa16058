#include "api/cache_manage.h"

#include <gtest/gtest.h>

namespace sutazai::api {
namespace {

std::string refusal(std::string_view body) {
    const auto command = parse_cache_command(body);
    return command ? "accepted" : command.error().field + ": " + command.error().message;
}

TEST(CacheManage, ReadsEveryAction) {
    for (const char* name : {"status", "warmup", "save", "load", "evict", "pin", "unpin", "prune"}) {
        const auto command = parse_cache_command(R"({"action": ")" + std::string(name) +
                                                 R"(", "models": ["a", "b", "a"], "force": true})");
        ASSERT_TRUE(command) << command.error().message;
        EXPECT_STREQ(to_string(command->action), name);
        EXPECT_EQ(command->models, (std::vector<std::string>{"a", "b"}));
        EXPECT_TRUE(command->force);
    }
    for (const char* name : {"status", "warmup", "save", "load", "prune"}) {
        EXPECT_EQ(refusal(R"({"action": ")" + std::string(name) + "\"}"), "accepted") << "the action chooses";
    }
}

TEST(CacheManage, SaysWhatIsWrong) {
    EXPECT_EQ(refusal("{}"), "action: action is missing; it is status, warmup, save, load, evict, pin, unpin or prune");
    EXPECT_EQ(refusal(R"({"action": "explode"})"),
              "action: action must be status, warmup, save, load, evict, pin, unpin or prune");
    EXPECT_EQ(refusal(R"({"action": 1})"), "action: action must be a string (got a number)");
    EXPECT_EQ(refusal(R"({"action": "evict"})"), "models: models must name at least one model for evict");
    EXPECT_EQ(refusal(R"({"action": "pin", "models": []})"), "models: models must name at least one model for pin");
    EXPECT_EQ(refusal(R"({"action": "save", "models": "a"})"),
              "models: models must be an array of names (got a string)");
    EXPECT_EQ(refusal(R"({"action": "save", "models": ["a", 2]})"),
              "models[1]: models[1] must be a string (got a number)");
    EXPECT_EQ(refusal(R"({"action": "evict", "models": ["a"], "force": 1})"),
              "force: force must be true or false (got a number)");
    std::string many = R"({"action": "save", "models": [)";
    for (int i = 0; i < 65; ++i) many += i == 0 ? "\"a\"" : ",\"a\"";
    EXPECT_EQ(refusal(many + "]}"), "models: models must hold at most 64 names (got 65)");
}

}  // namespace
}  // namespace sutazai::api
