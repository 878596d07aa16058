#include "serve/model_defaults.h"

#include <gtest/gtest.h>

namespace sutazai::serve {
namespace {

catalog::ModelProfile profile() {
    catalog::ModelProfile out;
    out.request.temperature = 0.25F;
    out.request.top_k = 7;
    out.request.max_tokens = 11;
    out.request.stop = {"END"};
    out.request.system = "Be brief.";
    return out;
}

GenerationRequest chat(std::vector<ChatMessage> messages) {
    GenerationRequest out;
    out.prompt = Chat{std::move(messages)};
    return out;
}

TEST(ModelDefaults, FillWhatTheRequestLeftOpen) {
    GenerationRequest request = chat({text_message(Role::kUser, "Hello")});
    request.sampling.top_k = 3;
    request.given.top_k = true;
    apply_defaults(profile(), request);
    EXPECT_EQ(request.sampling.temperature, 0.25F);
    EXPECT_EQ(request.sampling.top_k, 3) << "the request's own";
    EXPECT_EQ(request.sampling.top_p, SamplingParams().top_p) << "the server's";
    EXPECT_EQ(request.max_tokens, 11);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"END"}));
    const auto& messages = std::get<Chat>(request.prompt).messages;
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(messages[0], text_message(Role::kSystem, "Be brief."));
}

TEST(ModelDefaults, AdaptersAreTheModelsUnlessTheRequestNamesSome) {
    catalog::ModelProfile with;
    with.request.adapters = {{"tone", "/a/tone.gguf", 0.5F}, {"sql", "/a/sql.gguf", 0}};
    GenerationRequest request;
    ASSERT_TRUE(choose_adapters(with, request));
    EXPECT_EQ(request.adapters, (std::vector<AdapterChoice>{{"tone", "/a/tone.gguf", 0.5F}}));
    request.given.adapters = true;
    request.adapters = {{"sql", "/etc/passwd", 2}};
    ASSERT_TRUE(choose_adapters(with, request));
    EXPECT_EQ(request.adapters, (std::vector<AdapterChoice>{{"sql", "/a/sql.gguf", 2}})) << "never a client's path";
    request.adapters = {};
    ASSERT_TRUE(choose_adapters(with, request));
    EXPECT_TRUE(request.adapters.empty());
    request.adapters = {{"x"}};
    const auto refused = choose_adapters(with, request);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "adapters");
    EXPECT_EQ(refused.error().message, "adapters names \"x\", which this model has not; there are tone, sql");
    EXPECT_FALSE(choose_adapters({}, request));
    request.adapters = {{"tone"}, {"sql"}, {"tone"}};
    const auto twice = choose_adapters(with, request);
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(twice.error().message, "adapters names \"tone\" twice");
}

TEST(ModelDefaults, AValueThatIsGivenCountsThoughItIsTheUsualOne) {
    GenerationRequest request;
    request.given.temperature = request.given.stop = request.given.max_tokens = true;
    const GenerationRequest before = request;
    apply_defaults(profile(), request);
    EXPECT_EQ(request.sampling.temperature, before.sampling.temperature);
    EXPECT_TRUE(request.stop.empty());
    EXPECT_EQ(request.max_tokens, -1);
}

TEST(ModelDefaults, AChatHasOneSystemMessage) {
    for (const Role role : {Role::kSystem, Role::kDeveloper}) {
        GenerationRequest request = chat({text_message(role, "Mine."), text_message(Role::kUser, "Hello")});
        const auto before = request.prompt;
        apply_defaults(profile(), request);
        EXPECT_EQ(request.prompt, before);
    }
    GenerationRequest plain;
    plain.prompt = std::string("Hello");
    apply_defaults(profile(), plain);
    EXPECT_EQ(std::get<std::string>(plain.prompt), "Hello");
}

TEST(ModelDefaults, MessagesOfTheModelComeFirst) {
    catalog::ModelProfile with = profile();
    with.request.messages = {text_message(Role::kSystem, "Not this one."), text_message(Role::kUser, "Hi"),
                             text_message(Role::kAssistant, "Ho")};
    GenerationRequest request = chat({text_message(Role::kUser, "Hello")});
    apply_defaults(with, request);
    const std::vector<ChatMessage> wanted{text_message(Role::kSystem, "Be brief."), text_message(Role::kUser, "Hi"),
                                          text_message(Role::kAssistant, "Ho"), text_message(Role::kUser, "Hello")};
    EXPECT_EQ(std::get<Chat>(request.prompt).messages, wanted);
}

TEST(ModelDefaults, EmbeddingsHaveNone) {
    GenerationRequest request = chat({text_message(Role::kUser, "Hello")});
    request.task = Task::kEmbed;
    const GenerationRequest before = request;
    apply_defaults(profile(), request);
    EXPECT_EQ(request, before);
}

}  // namespace
}  // namespace sutazai::serve
