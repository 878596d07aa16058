// Tokens of hostile texts against llama_tokenize on the whole text, which is given all the stack that it wants.
#include "llama/tokenizer.h"

#include <gtest/gtest.h>
#include <llama.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using sched::Token;
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

LlamaModel load_vocabulary_of(const std::string& name, const std::string& pre = {}) {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    std::array<llama_model_kv_override, 2> overrides{};
    if (!pre.empty()) {
        overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
        std::strcpy(overrides[0].key, "tokenizer.ggml.pre");
        pre.copy(overrides[0].val_str, sizeof overrides[0].val_str - 1);
        params.kv_overrides = overrides.data();
    }
    const std::string path = std::string(SUTAZAI_LLAMA_MODELS) + "/ggml-vocab-" + name + ".gguf";
    return LlamaModel(llama_model_load_from_file(path.c_str(), params));
}

/// Runs on a thread with a stack of 2 GiB, of which only what is used is there.
void with_much_stack(const std::function<void()>& work) {
    constexpr std::size_t kBytes = std::size_t{2} << 30;
    void* stack = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(stack, MAP_FAILED);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, kBytes);
    pthread_t thread{};
    const auto run = [](void* user) -> void* {
        (*static_cast<const std::function<void()>*>(user))();
        return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    ::munmap(stack, kBytes);
}

std::vector<Token> in_one_piece(const llama_vocab* vocab, const std::string& text, bool special = true) {
    std::vector<Token> tokens(text.size() + 16);
    with_much_stack([&] {
        int n = llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), true, special);
        if (n < 0) {
            tokens.resize(static_cast<std::size_t>(-n));
            n = llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), true, special);
        }
        tokens.resize(static_cast<std::size_t>(n));
    });
    return tokens;
}

std::vector<Token> in_pieces(const Tokenizer& tokenizer, const std::string& text, bool special = true) {
    const TextPart part{text, special};
    return tokenizer.tokenize({&part, 1}, kNoLimit).value();
}

std::string repeated(std::string_view unit, std::size_t n_bytes) {
    std::string text;
    while (text.size() < n_bytes) text += unit;
    return text;
}

std::vector<std::string> hostile_texts(std::size_t n_bytes) {
    std::vector<std::string> texts;
    for (const char* unit : {"a",
                             "Z",
                             "aB",
                             " ",
                             "\n",
                             "\r\n",
                             "\t",
                             "7",
                             "123,",
                             "\U0001F642",
                             "e\u0301",
                             "\u0301",
                             "漢",
                             "漢字。",
                             "한국어",
                             "ж",
                             ".",
                             "...!?",
                             "=-",
                             "'s",
                             " a",
                             "a ",
                             "  b",
                             "\n\n",
                             "\n a",
                             "x\n",
                             "{\"k\": [1, 2.5]}, ",
                             "the quick brown fox. ",
                             "for (int i = 0; i < n; ++i) {\n        x[i] = 0;\n    }\n",
                             "ÿ",
                             "\u2581",
                             "\u00a0",
                             "<",
                             "<s>",
                             "</s>",
                             "<|endoftext|>",
                             "<|im_end|>\n"}) {
        texts.push_back(repeated(unit, n_bytes));
    }
    texts.push_back(std::string(n_bytes, ' ') + "1x");
    texts.push_back(std::string(n_bytes, '\n') + "x");
    texts.push_back(repeated(std::string(300, ' ') + "1", n_bytes));
    texts.push_back(std::string(n_bytes / 2, 'a') + std::string(n_bytes / 2, '1') + std::string(n_bytes / 2 + 1, 'B'));
    std::mt19937 random(7);
    const std::vector<std::string> units = {"a",    "Be",   " ",    "\n", "7",  "42",  ".",      ", ",
                                            "漢",   "é",    "🙂", "'t", "\t", "▁",   "  ",     "<s>",
                                            "</s>", "word", "(",    "\r", "ж",  "x_y", "e\u0301"};
    for (int i = 0; i < 4; ++i) {
        std::string text;
        while (text.size() < 2 * n_bytes) {
            const std::string& unit = units[random() % units.size()];
            const std::size_t times = random() % 8 == 0 ? 1 + random() % 700 : 1 + random() % 3;
            for (std::size_t k = 0; k < times; ++k) text += unit;
        }
        texts.push_back(std::move(text));
    }
    return texts;
}

std::string name(const std::string& text) {
    return text.substr(0, 24) + "... of " + std::to_string(text.size());
}

void expect_same(const llama_vocab* vocab, const std::vector<std::string>& texts) {
    const Tokenizer tokenizer(vocab);
    for (const std::string& text : texts) {
        const auto began = std::chrono::steady_clock::now();
        const std::vector<Token> tokens = in_pieces(tokenizer, text);
        const auto took = std::chrono::steady_clock::now() - began;
        EXPECT_LT(took, std::chrono::seconds(20)) << name(text);
        const std::vector<Token> expected = in_one_piece(vocab, text);
        const auto apart = std::ranges::mismatch(tokens, expected);
        // What begins with the first token has it once.
        std::vector<Token> once = expected;
        if (once.size() > 1 && llama_vocab_get_add_bos(vocab) && once[0] == llama_vocab_bos(vocab) &&
            once[1] == once[0]) {
            once.erase(once.begin());
        }
        if (once.size() > 1 && once.back() == once[once.size() - 2] && !tokens.empty() &&
            llama_vocab_get_add_eos(vocab) && once.back() == llama_vocab_eos(vocab)) {
            once.pop_back();
        }
        EXPECT_TRUE(tokens == once) << name(text) << " from token " << apart.in1 - tokens.begin() << " of "
                                    << tokens.size() << " and " << expected.size();
    }
}

class OfVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(OfVocabulary, TokensAreThoseOfTheWholeText) {
    const LlamaModel model = load_vocabulary_of(GetParam());
    ASSERT_NE(model, nullptr);
    expect_same(llama_model_get_vocab(model.get()), hostile_texts(6'000));
}

INSTANTIATE_TEST_SUITE_P(Files, OfVocabulary,
                         testing::Values("aquila", "baichuan", "bert-bge", "command-r", "deepseek-coder",
                                         "deepseek-llm", "falcon", "gemma-4", "gpt-2", "gpt-neox", "llama-bpe",
                                         "llama-spm", "mpt", "nomic-bert-moe", "phi-3", "qwen2", "qwen35", "refact",
                                         "starcoder"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

/// The regular expressions of vocabularies that llama.cpp's tree does not have, over one that it has.
class OfPreTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(OfPreTokenizer, TokensAreThoseOfTheWholeText) {
    const LlamaModel model = load_vocabulary_of("llama-bpe", GetParam());
    ASSERT_NE(model, nullptr);
    expect_same(llama_model_get_vocab(model.get()), hostile_texts(6'000));
}

INSTANTIATE_TEST_SUITE_P(Names, OfPreTokenizer,
                         testing::Values("tekken", "exaone-moe", "bloom", "superbpe", "youtu", "tiny_aya", "jais-2",
                                         "deepseek-v3", "afmoe", "bailingmoe"),
                         [](const auto& info) {
                             std::string name = info.param;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

TEST(Tokenizer, AVocabularyOfScoresWithoutASpaceInFrontIsCutToo) {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    std::array<llama_model_kv_override, 2> overrides{};
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_BOOL;
    std::strcpy(overrides[0].key, "tokenizer.ggml.add_space_prefix");
    params.kv_overrides = overrides.data();
    const std::string path = std::string(SUTAZAI_LLAMA_MODELS) + "/ggml-vocab-llama-spm.gguf";
    const LlamaModel model(llama_model_load_from_file(path.c_str(), params));
    ASSERT_NE(model, nullptr);
    expect_same(llama_model_get_vocab(model.get()), hostile_texts(6'000));
}

class TokenizerTest : public testing::Test {
  protected:
    explicit TokenizerTest(const std::string& name = "llama-bpe")
        : vocab_(llama_model_get_vocab(loaded(name))), tokenizer_(vocab_) {}

    /// Once for all tests: the largest take a second or more.
    static const llama_model* loaded(const std::string& name) {
        static std::map<std::string, LlamaModel> models;
        LlamaModel& model = models[name];
        if (model == nullptr) model = load_vocabulary_of(name);
        return model.get();
    }

    [[nodiscard]] Result<std::vector<Token>> tokenize(const std::string& text, std::size_t most = kNoLimit,
                                                      const CancelCheck& cancelled = {}) const {
        const TextPart part{text};
        return tokenizer_.tokenize({&part, 1}, most, cancelled);
    }
    [[nodiscard]] std::vector<Token> tokens_of(std::vector<TextPart> parts) const {
        return tokenizer_.tokenize(parts, kNoLimit).value();
    }

    const llama_vocab* vocab_;
    Tokenizer tokenizer_;
};

class DeepseekTokenizer : public TokenizerTest {
  protected:
    DeepseekTokenizer() : TokenizerTest("deepseek-llm") {}
};

TEST_F(DeepseekTokenizer, FortyThousandLettersNeedNoLargeStack) {
    const std::string text(40'000, 'a');
    EXPECT_EQ(tokenize(text).value(), in_one_piece(vocab_, text));
}

TEST_F(DeepseekTokenizer, LongRunsTakeTimeInProportion) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_GT(tokenize(std::string(50'000, ' ') + "1" + std::string(200'000, 'a') + std::string(50'000, '!'))->size(),
              1000U);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(60)) << "minutes in one piece";
}

TEST_F(TokenizerTest, ManyControlTokensTakeTimeInProportion) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(tokenize(repeated("<|eot_id|>", 1'000'000))->size(), 100'001U);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20)) << "minutes with a list for each";
}

TEST_F(TokenizerTest, NamesOfControlTokensAreTextWhereAPartSaysSo) {
    const std::string_view name = "<|eot_id|>";
    const std::vector<Token> control = tokens_of({{name}});
    ASSERT_EQ(control.size(), 2U) << "the beginning, and the one";
    const std::vector<Token> text = tokens_of({{name, false}});
    EXPECT_GT(text.size(), 3U);
    EXPECT_EQ(std::ranges::count(text, control.back()), 0);
    EXPECT_EQ(text, in_one_piece(vocab_, std::string(name), false));
    EXPECT_EQ(tokens_of({{"<|eot", true}, {"_id|>", false}}), text) << "nor where only a part of it is the template's";

    const std::vector<Token> mixed = tokens_of({{"a<|eot_id|>"}, {"b <|eot_id|> c", false}, {"<|eot_id|>d"}});
    EXPECT_EQ(std::ranges::count(mixed, control.back()), 2);
}

TEST_F(TokenizerTest, WhatIsNoUtf8IsStillTokenised) {
    for (const char* unit : {"\x80", "\xff", "\xe6\x97", "a\xc3"}) {
        const std::string text = repeated(unit, 13'000);
        // Cut by force: some tokens at each cut may be others.
        EXPECT_NEAR(static_cast<double>(tokenize(text)->size()), static_cast<double>(in_one_piece(vocab_, text).size()),
                    16);
    }
}

TEST_F(TokenizerTest, PartsAreOneText) {
    EXPECT_EQ(tokens_of({{"Hel"}, {"lo wor", false}, {""}, {"ld"}}), tokens_of({{"Hello world"}}));
}

TEST_F(TokenizerTest, WhatCannotFitIsRefusedByItsBytes) {
    ASSERT_EQ(tokenizer_.longest_token_bytes(), 128U);
    int asked = 0;
    const auto refused = tokenize(std::string(128 * 100 + 1, 'a'), 100, [&] { return ++asked < 0; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kContextOverflow);
    EXPECT_EQ(refused.error().message,
              "the prompt has at least 101 tokens (none of this model stands for more than 128 bytes)");
    EXPECT_EQ(asked, 0) << "nothing was tokenised";
    EXPECT_TRUE(tokenize(std::string(128 * 100, ' '), 101));
}

TEST_F(TokenizerTest, ItStopsAsSoonAsThereAreTooMany) {
    int asked = 0;
    const auto refused = tokenize(repeated("x y ", 100'000), 1000, [&] { return ++asked < 0; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kContextOverflow);
    EXPECT_LT(asked, 8);
    EXPECT_EQ(tokenize("a b c", 2).error().message, "the prompt has 4 tokens");
}

TEST_F(TokenizerTest, ItsEndMayBeCut) {
    const std::string text = repeated("some words, and 123 more. ", 20'000);
    const std::vector<Token> all = in_pieces(tokenizer_, text);
    const TextPart part{text};
    const auto cut = [&](std::size_t most) { return tokenizer_.tokenize({&part, 1}, most, {}, TooLong::kCut).value(); };
    EXPECT_EQ(cut(kNoLimit), all);
    EXPECT_EQ(cut(all.size()), all);
    for (const std::size_t most : {std::size_t{1}, std::size_t{100}, std::size_t{3000}, all.size() - 1}) {
        EXPECT_EQ(cut(most), std::vector<Token>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(most)));
    }
    EXPECT_TRUE(cut(0).empty());
}

TEST_F(TokenizerTest, ItCanBeCancelled) {
    int asked = 0;
    const auto cancelled = tokenize(repeated("x y ", 100'000), kNoLimit, [&] { return ++asked == 4; });
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
    EXPECT_EQ(asked, 4);
}

TEST_F(TokenizerTest, TheBeginningIsThereOnce) {
    const std::vector<Token> plain = tokenize("Hi").value();
    EXPECT_EQ(plain.front(), llama_vocab_bos(vocab_));
    EXPECT_EQ(tokenize("<|begin_of_text|>Hi").value(), plain);
    EXPECT_EQ(tokenize("").value(), std::vector<Token>{llama_vocab_bos(vocab_)});
    EXPECT_NE(tokens_of({{"<|begin_of_text|>", false}, {"Hi"}}), plain) << "a message that says so does not begin it";
}

TEST_F(TokenizerTest, KnowsNamesOfTokensThatAreNotShown) {
    EXPECT_TRUE(tokenizer_.names_hidden_token("<|eot_id|>"));
    EXPECT_TRUE(tokenizer_.names_hidden_token("foo<|eot_id|>\n"));
    EXPECT_FALSE(tokenizer_.names_hidden_token("<|eot_id|"));
    EXPECT_FALSE(tokenizer_.names_hidden_token("\n\n"));
    EXPECT_FALSE(tokenizer_.names_hidden_token(""));
}

}  // namespace
}  // namespace sutazai::llama
