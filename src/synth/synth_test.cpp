#include "synth/synth.h"

#include <gguf.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

namespace sutazai::synth {
namespace {

class Synth : public ::testing::Test {
  protected:
    void SetUp() override { std::filesystem::create_directories(folder_); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    SynthOptions tiny(std::string_view file = "tiny.gguf") const {
        SynthOptions options = synth_preset("toy").value();
        options.output = folder_ / file;
        return options;
    }

    static std::string bytes_of(const std::filesystem::path& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::filesystem::path folder_ =
        std::filesystem::path(::testing::TempDir()) /
        ("synth-" + std::to_string(::getpid()) + ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(Synth, SameOptionsGiveTheSameBytesAndAnotherSeedOthers) {
    ASSERT_TRUE(synthesize(tiny("a")));
    ASSERT_TRUE(synthesize(tiny("b")));
    SynthOptions other = tiny("c");
    other.seed = 2;
    ASSERT_TRUE(synthesize(other));
    const std::string first = bytes_of(folder_ / "a");
    EXPECT_GT(first.size(), 100'000U);
    EXPECT_LT(first.size(), 20'000'000U);
    EXPECT_EQ(first, bytes_of(folder_ / "b"));
    EXPECT_EQ(first.size(), bytes_of(folder_ / "c").size());
    EXPECT_NE(first, bytes_of(folder_ / "c"));
}

TEST_F(Synth, RefusesImpossibleShapesByName) {
    const auto field = [&](auto change) {
        SynthOptions options = tiny();
        change(options);
        const auto result = synthesize(options);
        return result ? std::string("accepted") : result.error().field;
    };
    EXPECT_EQ(field([](SynthOptions& o) { o.architecture = "gpt5"; }), "architecture");
    EXPECT_EQ(field([](SynthOptions& o) { o.quantisation = "q3"; }), "quantisation");
    EXPECT_EQ(field([](SynthOptions& o) { o.sliding_window = 64; }), "sliding_window");
    EXPECT_EQ(field([](SynthOptions& o) { o.layers = 0; }), "layers");
    EXPECT_EQ(field([](SynthOptions& o) { o.kv_heads = 3; }), "heads");
    EXPECT_EQ(field([](SynthOptions& o) { o.embedding = 100; }), "embedding");
    EXPECT_EQ(field([](SynthOptions& o) { o.feed_forward = 33; }), "feed_forward");
    EXPECT_EQ(field([](SynthOptions& o) { o.vocabulary = "no-such"; }), "vocabulary");
    EXPECT_EQ(field([&](SynthOptions& o) { o.output = folder_ / "no-folder" / "x"; }), "output");
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
    EXPECT_EQ(synth_preset("none").error().field, "preset");
}

/// A model that llama.cpp has loaded, with one context.
class Loaded {
  public:
    explicit Loaded(const std::filesystem::path& path) {
        llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
        model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
        if (!model_) return;
        auto params = llama_context_default_params();
        params.n_ctx = 1024;
        params.n_threads = params.n_threads_batch = 1;
        context_.reset(llama_init_from_model(model_.get(), params));
    }

    explicit operator bool() const { return context_ != nullptr; }
    const llama_vocab* vocabulary() const { return llama_model_get_vocab(model_.get()); }

    std::vector<llama_token> tokenise(const std::string& text) const {
        std::vector<llama_token> tokens(text.size() + 8);
        const int n = llama_tokenize(vocabulary(), text.data(), static_cast<int>(text.size()), tokens.data(),
                                     static_cast<int>(tokens.size()), true, true);
        tokens.resize(static_cast<std::size_t>(n));
        return tokens;
    }

    std::string piece(llama_token token) const {
        char text[64];
        return {text,
                static_cast<std::size_t>(std::max(0, llama_token_to_piece(vocabulary(), token, text, 64, 0, false)))};
    }

    /// The answer of a sampler to one prompt, end marks included.
    std::vector<llama_token> generate(const std::string& prompt, llama_sampler* sampler, int count) {
        llama_memory_clear(llama_get_memory(context_.get()), true);
        std::vector<llama_token> tokens = tokenise(prompt);
        std::vector<llama_token> answer;
        for (int i = 0; i < count; ++i) {
            if (llama_decode(context_.get(), llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()))) != 0)
                break;
            tokens = {llama_sampler_sample(sampler, context_.get(), -1)};
            answer.push_back(tokens[0]);
        }
        return answer;
    }

  private:
    struct Free {
        void operator()(llama_model* model) const { llama_model_free(model); }
        void operator()(llama_context* context) const { llama_free(context); }
    };
    std::unique_ptr<llama_model, Free> model_;
    std::unique_ptr<llama_context, Free> context_;
};

using Sampler = std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)>;

const std::string kPrompt = "<|im_start|>user\nwhat is the word<|im_end|>\n<|im_start|>assistant\n";

TEST_F(Synth, BuiltinTokenizerReadsWordsBytesAndMarks) {
    ASSERT_TRUE(synthesize(tiny()));
    const Loaded model(tiny().output);
    ASSERT_TRUE(model);
    EXPECT_EQ(model.tokenise(" the people").size(), 2U);
    EXPECT_EQ(model.tokenise("\xF0\x9F\x98\x80").size(), 4U);
    const auto marks = model.tokenise("<|im_start|><|im_end|>");
    ASSERT_EQ(marks.size(), 2U);
    EXPECT_TRUE(llama_vocab_is_eog(model.vocabulary(), marks[1]));
    std::string text;
    for (const llama_token token : model.tokenise("The world, again: \xC3\xA9\n\x01")) text += model.piece(token);
    EXPECT_EQ(text, "The world, again: \xC3\xA9\n\x01");
}

TEST_F(Synth, GreedyAnswersAreVariedInEachArchitecture) {
    for (const auto architecture : synth_architectures()) {
        if (architecture == "bert") continue;  // writes no text
        SynthOptions options = tiny();
        options.architecture = architecture;
        ASSERT_TRUE(synthesize(options));
        Loaded model(options.output);
        ASSERT_TRUE(model) << architecture;
        const Sampler greedy(llama_sampler_init_greedy(), llama_sampler_free);
        const auto first = model.generate(kPrompt, greedy.get(), 64);
        const auto second =
            model.generate("<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n", greedy.get(), 64);
        ASSERT_EQ(first.size(), 64U);
        EXPECT_GE(std::set(first.begin(), first.end()).size(), 16U) << architecture;
        EXPECT_NE(first, second) << architecture;
        EXPECT_EQ(first, model.generate(kPrompt, greedy.get(), 64)) << architecture;
    }
}

TEST_F(Synth, SampledAnswersEndAndHoldWholeCharactersInSeveralTokens) {
    ASSERT_TRUE(synthesize(tiny()));
    Loaded model(tiny().output);
    ASSERT_TRUE(model);
    int ended = 0;
    std::string text;
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const Sampler draw(llama_sampler_chain_init(llama_sampler_chain_default_params()), llama_sampler_free);
        llama_sampler_chain_add(draw.get(), llama_sampler_init_top_k(40));
        llama_sampler_chain_add(draw.get(), llama_sampler_init_temp(0.8F));
        llama_sampler_chain_add(draw.get(), llama_sampler_init_dist(seed));
        for (const llama_token token : model.generate(kPrompt, draw.get(), 400)) {
            ended += llama_vocab_is_eog(model.vocabulary(), token) ? 1 : 0;
            text += model.piece(token);
        }
    }
    EXPECT_GE(ended, 2);
    EXPECT_NE(text.find("\xE2\x82\xAC"), std::string::npos);
    EXPECT_NE(text.find("\xE6\x97\xA5"), std::string::npos);
}

TEST_F(Synth, LlamaLoadsEveryQuantisation) {
    for (const auto quantisation : synth_quantisations()) {
        SynthOptions options = tiny();
        options.quantisation = quantisation;
        options.embedding = 256;
        options.feed_forward = 512;
        options.tied_embeddings = true;
        ASSERT_TRUE(synthesize(options)) << quantisation;
        EXPECT_TRUE(Loaded(options.output)) << quantisation;
    }
}

TEST_F(Synth, CopiesTheVocabularyOfAnotherFile) {
    SynthOptions small = tiny("small.gguf");
    ASSERT_TRUE(synthesize(small));
    SynthOptions copy = tiny("copy.gguf");
    copy.vocabulary = small.output.string();
    ASSERT_TRUE(synthesize(copy));
    const Loaded original(small.output);
    const Loaded copied(copy.output);
    ASSERT_TRUE(original && copied);
    const std::string text = "people <|im_end|> word \xE2\x82\xAC";
    EXPECT_EQ(copied.tokenise(text), original.tokenise(text));
}

}  // namespace
}  // namespace sutazai::synth
