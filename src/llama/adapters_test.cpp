// Adapters (LoRA): what is computed with them is what llama.cpp itself computes, row by row; files that are none.
#include "llama/adapters.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "llama/model.h"
#include "llama/testing/test_adapters.h"
#include "llama/testing/test_models.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using Logits = std::vector<float>;
using Set = std::shared_ptr<const AdapterSet>;

std::vector<Token> some_tokens(int n, int first = 20) {
    std::vector<Token> tokens;
    for (int i = 0; i < n; ++i) tokens.push_back(first + i * 7 % 300);
    return tokens;
}

/// By a plain context of llama.cpp's with these adapters: the logits after the last token.
Logits by_llama(const std::string& model_path, const std::vector<Token>& tokens,
                const std::vector<AdapterChoice>& adapters) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    const LlamaModel model(llama_model_load_from_file(model_path.c_str(), params));
    llama_context_params settings = llama_context_default_params();
    settings.n_ctx = 2048;
    settings.n_batch = 2048;
    settings.n_threads = settings.n_threads_batch = 1;
    settings.type_k = settings.type_v = GGML_TYPE_F32;
    llama_context* context = llama_init_from_model(model.get(), settings);
    std::vector<llama_adapter_lora*> loras;
    std::vector<float> scales;
    for (const AdapterChoice& adapter : adapters) {
        loras.push_back(llama_adapter_lora_init(model.get(), adapter.path.c_str()));
        scales.push_back(adapter.scale);
        EXPECT_NE(loras.back(), nullptr);
    }
    if (!loras.empty()) llama_set_adapters_lora(context, loras.data(), loras.size(), scales.data());
    std::vector<Token> copy = tokens;
    EXPECT_EQ(llama_decode(context, llama_batch_get_one(copy.data(), static_cast<int>(copy.size()))), 0);
    const float* logits = llama_get_logits_ith(context, -1);
    Logits out(logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    llama_free(context);
    return out;
}

double distance(const Logits& one, const Logits& other) {
    double most = one.size() == other.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < one.size() && i < other.size(); ++i) {
        most = std::max(most, static_cast<double>(std::abs(one[i] - other[i])));
    }
    return most;
}

class Adapters : public testing::Test {
  protected:
    struct Row {
        int slot;
        const AdapterSet* set;
        std::vector<Token> tokens;
        int first = 0;  ///< computed before
    };

    AdapterChoice choice(const std::string& name, const TestAdapter& what, float scale = 1) {
        const std::string path = (folder_.path() / name).string();
        write_test_adapter(test_model(), path, what);
        return {name, path, scale};
    }
    Set open(const std::vector<AdapterChoice>& wanted) {
        auto set = model_->open_adapters(wanted);
        EXPECT_TRUE(set.has_value()) << set.error().message;
        return set ? *set : nullptr;
    }
    /// One step of all rows.
    std::vector<Logits> compute(const std::vector<Row>& rows) {
        sched::Step step;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const int n = static_cast<int>(rows[i].tokens.size()) - rows[i].first;
            step.chunks.push_back({i + 1, rows[i].slot, rows[i].first, n, true});
            step.n_tokens += n;
        }
        model_->set_adapters_of([&](RequestId id) { return id == 0 ? nullptr : rows[id - 1].set; });
        EXPECT_EQ(model_->decode(step, [&](RequestId id) -> const std::vector<Token>& { return rows[id - 1].tokens; }),
                  Model::Outcome::kDone);
        std::vector<Logits> out;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            out.emplace_back(model_->logits(i), model_->logits(i) + model_->properties().vocabulary);
        }
        return out;
    }
    void forget(int slots) {
        for (int slot = 0; slot < slots; ++slot) model_->apply(sched::Trim{slot, 0});
    }

    TemporaryFolder folder_;
    std::unique_ptr<Model> model_ = load_test_model("toy", 2048);
};

TEST_F(Adapters, AreWhatLlamaComputesWithThemInItsOwnContext) {
    const std::vector<Token> tokens = some_tokens(40);
    const AdapterChoice a = choice("a", {.seed = 1});
    const AdapterChoice b = choice("b", {.seed = 2, .rank = 7, .alpha = 3, .f16 = true, .part = "ffn"}, 0.5F);
    const AdapterChoice c = choice("c", {.seed = 3, .rank = 16, .alpha = 0, .part = "attn"}, -1.5F);
    const Logits base = by_llama(test_model(), tokens, {});
    for (const std::vector<AdapterChoice>& set : {std::vector{a}, {b}, {c}, {a, b, c}}) {
        const Set opened = open(set);
        const Logits expected = by_llama(test_model(), tokens, set);
        const Logits got = compute({{0, opened.get(), tokens}})[0];
        forget(1);
        EXPECT_LT(distance(got, expected), 0.02) << set.size() << set[0].name;
        EXPECT_GT(distance(got, base), 0.5) << "an adapter without effect tests nothing";
    }
}

TEST_F(Adapters, OfEveryRowAreItsOwn) {
    const Set a = open({choice("a", {.seed = 1})});
    const Set b = open({choice("b", {.seed = 2, .rank = 8, .f16 = true})});
    const Set both = open({choice("a", {.seed = 1}, 0.5F), choice("b", {.seed = 2, .rank = 8, .f16 = true}, 2)});
    const std::vector<Token> tokens = some_tokens(50);
    const std::vector<Token> others = some_tokens(33, 40);
    std::vector<Row> rows{{0, nullptr, tokens}, {1, a.get(), tokens}, {2, b.get(), others}, {3, both.get(), tokens},
                          {4, nullptr, others}, {5, a.get(), others}, {6, b.get(), tokens}};
    std::vector<Logits> alone;
    for (const Row& row : rows) {
        alone.push_back(compute({row})[0]);
        forget(7);
    }
    const std::vector<Logits> together = compute(rows);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_LT(distance(together[i], alone[i]), 0.02) << i;
    // And token by token.
    for (Row& row : rows) {
        row.first = static_cast<int>(row.tokens.size());
        row.tokens.push_back(99);
    }
    const std::vector<Logits> next = compute(rows);
    forget(7);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        Row whole = rows[i];
        whole.first = 0;
        EXPECT_LT(distance(next[i], compute({whole})[0]), 0.02) << i;
        forget(7);
    }
    EXPECT_GT(distance(together[0], together[1]), 0.5);
    EXPECT_GT(distance(together[1], together[6]), 0.5);
    EXPECT_GT(distance(together[1], together[3]), 0.5);
}

TEST_F(Adapters, OfLongPromptsAreInEveryPart) {
    const AdapterChoice a = choice("a", {.seed = 1});
    const AdapterChoice b = choice("b", {.seed = 2});
    const std::vector<Token> tokens = some_tokens(700);
    const std::vector<Token> others = some_tokens(600, 50);
    const Set set_a = open({a});
    const Set set_b = open({b});
    const auto got = compute({{0, set_a.get(), tokens}, {1, set_b.get(), others}, {2, nullptr, some_tokens(20)}});
    EXPECT_LT(distance(got[0], by_llama(test_model(), tokens, {a})), 0.05);
    EXPECT_LT(distance(got[1], by_llama(test_model(), others, {b})), 0.05);
    EXPECT_LT(distance(got[2], by_llama(test_model(), some_tokens(20), {})), 0.02);
}

TEST_F(Adapters, LeaveTheModelAsItIsForOthers) {
    const std::vector<Token> tokens = some_tokens(40);
    const Logits before = compute({{0, nullptr, tokens}})[0];
    forget(1);
    const Set a = open({choice("a", {.seed = 1})});
    (void)compute({{0, a.get(), tokens}});
    forget(1);
    // With places in the graph, and long after the last adapter without.
    for (int i = 0; i < 40; ++i) {
        EXPECT_EQ(compute({{0, nullptr, tokens}})[0], before) << i;
        forget(1);
    }
}

TEST_F(Adapters, AreKnownByWhatIsInTheirFiles) {
    const AdapterChoice a = choice("a", {.seed = 1});
    AdapterChoice copy = choice("copy", {.seed = 1});
    EXPECT_EQ(open({a})->key, open({copy})->key);
    copy.scale = 2;
    EXPECT_NE(open({a})->key, open({copy})->key);
    AdapterChoice off = a;
    off.scale = 0;
    EXPECT_EQ(open({off})->key, "");
    EXPECT_EQ(open({})->key, "");
    const std::string before = open({a})->key;
    std::filesystem::remove(a.path);
    EXPECT_NE(open({choice("a", {.seed = 5})})->key, before);
}

TEST_F(Adapters, ThatAreNoneForThisModelAreRefusedWithTheReason) {
    const auto why = [&](const AdapterChoice& wanted) {
        const auto set = model_->open_adapters(std::vector{wanted});
        if (set) return std::string("it was opened");
        EXPECT_EQ(set.error().field, "") << "whoever asks can do nothing about it";
        EXPECT_EQ(set.error().code, ErrorCode::kLoadFailed);
        return set.error().message;
    };
    const auto expect = [&](const TestAdapter& what, const std::string& part) {
        const std::string message = why(choice("x", what));
        EXPECT_NE(message.find(part), std::string::npos) << message;
        EXPECT_NE(message.find("the adapter x "), std::string::npos) << message;
    };
    expect({.architecture = "qwen9"}, "is for models of qwen9, and this is one of llama");
    expect({.type = "model"}, "is no LoRA adapter in GGUF");
    expect({.more_rows = 32}, "is for another model: for blk.0.");
    expect({.without_b = true}, "has only one half of a pair");
    expect({.with_nan = true}, "holds what is no number");
    expect({.part = "nothing has this name"}, "holds no tensors");
    EXPECT_NE(why({"y", "/nowhere/at/all", 1}).find("is not there"), std::string::npos);
    AdapterChoice broken = choice("broken", {});
    std::filesystem::resize_file(broken.path, std::filesystem::file_size(broken.path) / 2);
    EXPECT_NE(why(broken).find("cannot be read"), std::string::npos);
    EXPECT_NE(why({"model", test_model(), 1}).find("is no LoRA"), std::string::npos);
    // The next one is as if nothing had been.
    EXPECT_NE(open({choice("a", {.seed = 1})})->key, "");
}

TEST_F(Adapters, ThatAreNotInUseMakeRoomForOthers) {
    const AdapterChoice a = choice("a", {.seed = 1});
    const AdapterChoice b = choice("b", {.seed = 2});
    const std::uint64_t bytes = std::filesystem::file_size(a.path);
    AdapterShelf shelf(model_->handle(), bytes * 3 / 2);
    Set first = *shelf.open(std::vector{a});
    const auto full = shelf.open(std::vector{b});
    ASSERT_FALSE(full.has_value());
    EXPECT_EQ(full.error().code, ErrorCode::kUnavailable);
    first.reset();
    EXPECT_TRUE(shelf.open(std::vector{b}).has_value());
}

}  // namespace
}  // namespace sutazai::llama
