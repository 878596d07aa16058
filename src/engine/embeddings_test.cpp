// Embeddings: packed batches against one input at a time, pooling, and models that do nothing else.
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/testing/harness.h"
#include "llama/side_context.h"

namespace sutazai::engine {
namespace {

using std::chrono::milliseconds;

std::vector<Token> tokens_of(const llama::Model& model, int i, int length) {
    std::vector<Token> tokens(length);
    for (int k = 0; k < length; ++k) tokens[k] = (i * 131 + k * 17 + 3) % std::min(model.properties().vocabulary, 700);
    return tokens;
}

/// Every job's vector, in turns as long as `target`.
std::map<RequestId, std::vector<float>> compute(SideContext& side, std::vector<SideContext::Job> jobs,
                                                milliseconds target, int* turns = nullptr) {
    for (auto& job : jobs) side.add(std::move(job));
    std::map<RequestId, std::vector<float>> done;
    for (int n = 0; !side.idle(); ++n) {
        if (turns != nullptr) *turns = n + 1;
        for (auto& job : side.turn(target)) {
            EXPECT_FALSE(job.error.has_value());
            done[job.id] = std::move(job.embedding);
        }
    }
    return done;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
    double dot = 0;
    for (std::size_t i = 0; i < a.size(); ++i) dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return dot;
}

void expect_packing_changes_nothing(const llama::Model& model, int longest) {
    const auto job = [&](int i) {
        return SideContext::Job{
            static_cast<RequestId>(i + 1), tokens_of(model, i, 1 + (i * 37) % longest), 0, {}, {}, {}, {}};
    };
    const auto packed_context = model.beside(SideContext::Kind::kEmbeddings);
    SideContext& packed = *packed_context;
    std::vector<SideContext::Job> jobs;
    for (int i = 0; i < 70; ++i) jobs.push_back(job(i));
    int turns = 0;
    const auto together = compute(packed, std::move(jobs), milliseconds(1000), &turns);
    ASSERT_EQ(together.size(), 70U);
    EXPECT_LT(turns, 50) << "hardly anything was packed: the test shows nothing";
    const auto single_context = model.beside(SideContext::Kind::kEmbeddings);
    SideContext& single = *single_context;
    for (int i = 0; i < 70; i += 3) {
        std::vector<SideContext::Job> one;
        one.push_back(job(i));
        const auto alone = compute(single, std::move(one), milliseconds(1000)).at(i + 1);
        ASSERT_EQ(alone.size(), static_cast<std::size_t>(model.properties().embedding_width));
        EXPECT_NEAR(cosine(alone, alone), 1, 1e-5) << "length 1";
        EXPECT_GT(cosine(alone, together.at(i + 1)), 0.9999) << "input " << i;
    }
    EXPECT_LT(cosine(together.at(2), together.at(3)), 0.99) << "all are alike: the test shows nothing";
}

TEST(Embeddings, APackedBatchGivesWhatOneAtATimeGives) {
    expect_packing_changes_nothing(*load_test_model("toy", 4096), 200);
}

TEST(Embeddings, APackedBatchOfAnEncoderGivesWhatOneAtATimeGives) {
    const auto model = load_test_model("toy-bert", 4096);
    EXPECT_FALSE(model->properties().generates);
    expect_packing_changes_nothing(*model, 300);
}

/// The mean of the last layer's results, by llama.cpp itself.
std::vector<float> pooled_by_llama(const llama::Model& model, std::vector<Token> tokens) {
    llama_context_params params = llama_context_default_params();
    params.embeddings = true;
    params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
    params.n_seq_max = 1;
    params.n_ctx = params.n_batch = params.n_ubatch = 512;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(model.handle(), params),
                                                                        llama_free);
    EXPECT_EQ(llama_decode(context.get(), llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()))), 0);
    const float* vector = llama_get_embeddings_seq(context.get(), 0);
    std::vector<float> out(vector, vector + model.properties().embedding_width);
    const double length = std::sqrt(cosine(out, out));
    for (float& value : out) value = static_cast<float>(value / length);
    return out;
}

TEST(Embeddings, AreLlamasOwnWithoutTheOutputLayer) {
    for (const char* preset : {"toy", "toy-qwen2", "toy-mamba", "toy-jamba", "toy-gemma3"}) {
        SCOPED_TRACE(preset);
        const auto model = load_test_model(preset);
        const auto side_context = model->beside(SideContext::Kind::kEmbeddings);
        SideContext& side = *side_context;
        std::vector<SideContext::Job> jobs;
        for (int i = 0; i < 3; ++i)
            jobs.push_back({static_cast<RequestId>(i), tokens_of(*model, i, 90), 0, {}, {}, {}, {}});
        const auto done = compute(side, std::move(jobs), milliseconds(1000));
        EXPECT_TRUE(side.skips_output_layer());
        for (int i = 0; i < 3; ++i) {
            EXPECT_GT(cosine(done.at(i), pooled_by_llama(*model, tokens_of(*model, i, 90))), 0.9999) << i;
        }
    }
}

TEST(Embeddings, AnInputMayComeInParts) {
    const auto model = load_test_model("toy", 4096);
    const auto job = [&] { return SideContext::Job{1, tokens_of(*model, 4, 3000), 0, {}, {}, {}, {}}; };
    const auto side_context = model->beside(SideContext::Kind::kEmbeddings);
    SideContext& side = *side_context;
    std::vector<SideContext::Job> jobs;
    jobs.push_back(job());
    int turns = 0;
    const auto parts = compute(side, std::move(jobs), milliseconds(0), &turns);
    EXPECT_GT(turns, 100) << "16 tokens at a time";
    jobs.clear();
    jobs.push_back(job());
    const auto whole = compute(side, std::move(jobs), milliseconds(100'000), &turns);
    EXPECT_LT(turns, 10);
    EXPECT_GT(cosine(parts.at(1), whole.at(1)), 0.9999);
}

TEST(Embeddings, PoolingIsTheModelsOwn) {
    std::map<std::uint32_t, std::vector<float>> by_pooling;
    for (const std::uint32_t pooling : {1U, 2U, 3U}) {
        const auto model = load_test_model("toy-bert", 4096, pooling);
        const auto side_context = model->beside(SideContext::Kind::kEmbeddings);
        SideContext& side = *side_context;
        std::vector<SideContext::Job> jobs;
        jobs.push_back({1, tokens_of(*model, 1, 20), 0, {}, {}, {}, {}});
        by_pooling[pooling] = compute(side, std::move(jobs), milliseconds(100)).at(1);
    }
    EXPECT_LT(cosine(by_pooling[1], by_pooling[2]), 0.999);
    EXPECT_LT(cosine(by_pooling[2], by_pooling[3]), 0.999);
    // Causal: what the first token makes does not depend on the others, what the last makes does.
    for (const auto& [pooling, same] : {std::pair(2U, true), std::pair(3U, false)}) {
        const auto model = load_test_model("toy", 4096, pooling);
        const auto side_context = model->beside(SideContext::Kind::kEmbeddings);
        SideContext& side = *side_context;
        std::vector<SideContext::Job> jobs;
        jobs.push_back({1, {5, 6, 7, 8}, 0, {}, {}, {}, {}});
        jobs.push_back({2, {5, 9, 10, 11}, 0, {}, {}, {}, {}});
        const auto done = compute(side, std::move(jobs), milliseconds(100));
        EXPECT_EQ(cosine(done.at(1), done.at(2)) > 0.9999, same) << "pooling " << pooling;
    }
}

TEST(Embeddings, AnEncoderServesNothingElse) {
    Harness harness({}, 4096, "toy-bert");
    GenerationRequest request;
    request.prompt = "hello world";
    const auto chat = harness.ask(request);
    ASSERT_TRUE(chat.error.has_value());
    EXPECT_EQ(chat.error->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(chat.error->field, "model");
    request.task = Task::kEmbed;
    const auto embedding = harness.ask(request);
    ASSERT_TRUE(embedding.finished.has_value());
    EXPECT_EQ(embedding.finished->usage.prompt_tokens, 4U) << "[CLS] hello world [SEP]";
    EXPECT_EQ(embedding.embedding.size(), 64U);
    request.prompt = std::vector<Token>(513, 7);
    const auto too_long = harness.ask(request);
    ASSERT_TRUE(too_long.error.has_value());
    EXPECT_EQ(too_long.error->code, ErrorCode::kContextOverflow);
    EXPECT_NE(too_long.error->message.find("512"), std::string::npos);
    request.prompt = std::vector<Token>(512, 7);
    EXPECT_TRUE(harness.ask(request).finished.has_value());
}

}  // namespace
}  // namespace sutazai::engine
