#include "fetch/pull_base.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

const Error kNotHere{ErrorCode::kNotFound, "there is no model here", "from"};

TEST(MissingBase, IsPulledFromWhereAPullMayGo) {
    config::Settings settings;
    settings.pull_hosts = {"registry.ollama.ai", "hf.co", "huggingface.co"};
    const auto registry = missing_base(settings, "qwen2.5:3b", kNotHere);
    ASSERT_TRUE(registry) << registry.error().message;
    EXPECT_EQ(registry->request.model, "qwen2.5:3b");
    EXPECT_FALSE(registry->request.typed) << "who wrote a Modelfile may be anybody";
    EXPECT_TRUE(missing_base(settings, "hf.co/org/repo:Q4_K_M", kNotHere));
}

TEST(MissingBase, WhatMayNotBePulledIsNotFoundAndSaysWhy) {
    config::Settings settings;
    settings.pull_hosts = {"hf.co"};
    for (const char* from : {"qwen2.5:3b", "other.example/a/b:c"}) {
        const auto refused = missing_base(settings, from, kNotHere);
        ASSERT_FALSE(refused) << from;
        EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
        EXPECT_EQ(refused.error().field, "from");
        EXPECT_NE(refused.error().message.find("PULL_HOSTS"), std::string::npos) << refused.error().message;
    }
    for (const char* from : {"../x", "", "https://hf.co/a/b.gguf"}) {
        const auto refused = missing_base(settings, from, kNotHere);
        ASSERT_FALSE(refused) << from;
        EXPECT_EQ(refused.error().message, kNotHere.message) << "no name that could be pulled";
    }
}

}  // namespace
}  // namespace sutazai::fetch
