// A model whose vocabulary is loaded beside its weights, against the same file loaded as one.
#include "llama/vocabulary.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "llama/grammar.h"
#include "llama/model.h"
#include "llama/testing/test_models.h"
#include "synth/synth.h"

namespace sutazai::llama {
namespace {

struct File {
    std::string preset;
    std::string vocabulary;
};

class InPartsTest : public testing::TestWithParam<File> {
  protected:
    void SetUp() override {
        auto options = synth::synth_preset(GetParam().preset).value();
        if (!GetParam().vocabulary.empty()) options.vocabulary = GetParam().vocabulary;
        options.output = std::filesystem::temp_directory_path() / ("sutazai-parts-" + std::to_string(::getpid()));
        ASSERT_TRUE(synth::synthesize(options).has_value());
        path_ = options.output;
        architecture_ = options.architecture;
    }
    void TearDown() override { std::filesystem::remove(path_); }

    [[nodiscard]] Result<std::unique_ptr<Model>> load(const std::string& architecture, std::uint32_t vocabulary) const {
        LoadOptions options;
        options.path = path_.string();
        options.context_tokens = 512;
        options.threads = 2;
        options.architecture = architecture;
        options.vocabulary = vocabulary;
        return Model::load(options, [](float) {});
    }
    static bool is_in_parts(const Model& model) {
        return llama_vocab_type(llama_model_get_vocab(model.handle())) == LLAMA_VOCAB_TYPE_NONE;
    }

    std::filesystem::path path_;
    std::string architecture_;
};

std::vector<float> logits_of(Model& model, const std::vector<Token>& tokens) {
    sched::Step step;
    step.chunks.push_back({0, 0, 0, static_cast<int>(tokens.size()), true});
    step.n_tokens = static_cast<int>(tokens.size());
    EXPECT_EQ(model.decode(step, [&](sched::RequestId) -> const std::vector<Token>& { return tokens; }),
              Model::Outcome::kDone);
    const float* logits = model.logits(0);
    return {logits, logits + model.properties().vocabulary};
}

TEST_P(InPartsTest, IsTheSameModel) {
    const auto whole = load("", 0);
    ASSERT_TRUE(whole.has_value());
    EXPECT_FALSE(is_in_parts(**whole));
    const Model::Properties& expected = (*whole)->properties();
    const auto parts = load(architecture_, static_cast<std::uint32_t>(expected.vocabulary));
    ASSERT_TRUE(parts.has_value());
    EXPECT_TRUE(is_in_parts(**parts));
    const Model::Properties& got = (*parts)->properties();
    EXPECT_EQ(got.vocabulary, expected.vocabulary);
    EXPECT_EQ(got.has_chat_template, expected.has_chat_template);
    EXPECT_EQ(got.generates, expected.generates);
    EXPECT_EQ(got.pooling, expected.pooling);
    EXPECT_EQ(got.parameters, expected.parameters);
    EXPECT_EQ(got.weights_bytes, expected.weights_bytes);
    EXPECT_EQ(got.context_per_sequence, expected.context_per_sequence);
    EXPECT_EQ(got.fingerprint.architecture, expected.fingerprint.architecture);
    EXPECT_EQ(got.fingerprint.rope_type, expected.fingerprint.rope_type);
    EXPECT_EQ(got.fingerprint.n_layer, expected.fingerprint.n_layer);

    GenerationRequest request;
    for (const char* text : {"Hello world, how are you?", "naïve ☃ 漢字 \t\n 12345", "<|im_start|>user</s>"}) {
        request.prompt = text;
        EXPECT_EQ((*parts)->tokenize(request).value(), (*whole)->tokenize(request).value()) << text;
    }
    for (Token token = 0; token < expected.vocabulary; ++token) {
        ASSERT_EQ((*parts)->piece(token), (*whole)->piece(token)) << token;
        ASSERT_EQ((*parts)->ends_generation(token), (*whole)->ends_generation(token)) << token;
    }
    if (!expected.generates) return;
    request.prompt = Chat{{text_message(Role::kSystem, "Be brief."), text_message(Role::kUser, "What is a model?")}};
    const std::vector<Token> chat = (*whole)->tokenize(request).value();
    EXPECT_EQ((*parts)->tokenize(request).value(), chat);
    EXPECT_EQ(logits_of(**parts, chat), logits_of(**whole, chat));
    const auto grammar = grammar_of(**parts, {false, R"(root ::= "yes" | "no")"});
    ASSERT_TRUE(grammar.has_value());
    int n_allowed = 0;
    grammar::Work work{kWorkPerToken * 100};
    for (Token token = 0; token < expected.vocabulary; ++token) {
        n_allowed += (*grammar)->allows(token, work) == Grammar::Answer::kYes ? 1 : 0;
    }
    EXPECT_GT(n_allowed, 0);
    EXPECT_LT(n_allowed, 20) << "what \"yes\" and \"no\" begin with";
}

TEST_P(InPartsTest, WrongHintsCostTimeOnly) {
    const auto n_tokens = static_cast<std::uint32_t>(load("", 0).value()->properties().vocabulary);
    for (const std::uint32_t vocabulary : {n_tokens - 1, n_tokens + 1}) {
        const auto model = load(architecture_, vocabulary);
        ASSERT_TRUE(model.has_value()) << vocabulary;
        EXPECT_FALSE(is_in_parts(**model)) << vocabulary;
        EXPECT_EQ((*model)->properties().vocabulary, static_cast<int>(n_tokens));
    }
    const auto model = load(std::string(300, 'x'), n_tokens);
    ASSERT_TRUE(model.has_value());
    EXPECT_EQ((*model)->properties().vocabulary, static_cast<int>(n_tokens));
}

TEST_P(InPartsTest, AnErrorIsTheSameError) {
    const auto n_tokens = static_cast<std::uint32_t>(load("", 0).value()->properties().vocabulary);
    std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 2);
    EXPECT_EQ(load(architecture_, n_tokens).error().message, load("", 0).error().message);
    std::filesystem::remove(path_);
    EXPECT_EQ(load(architecture_, n_tokens).error().message, load("", 0).error().message);
}

INSTANTIATE_TEST_SUITE_P(Files, InPartsTest,
                         testing::Values(File{"toy", ""}, File{"toy", "llama-spm"}, File{"toy-bert", ""},
                                         File{"toy-qwen2", ""}),
                         [](const auto& info) {
                             std::string name = info.param.preset + info.param.vocabulary;
                             std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                             return name;
                         });

}  // namespace
}  // namespace sutazai::llama
