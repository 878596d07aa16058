// Images in the engine: what is shared, what is left of them on disk, and what becomes of those that nobody wants.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/testing/temporary_folder.h"
#include "engine/testing/harness.h"
#include "synth/projector.h"

namespace sutazai::engine {
namespace {

constexpr std::uint32_t kRows = synth::kProjectedRows;

SharedImage picture(int seed) {
    constexpr std::uint32_t kSide = 16;
    std::string bytes = std::string("BM") + std::string(8, '\0') + std::string("\x36\0\0\0\x28\0\0\0", 8) +
                        std::string("\x10\0\0\0\x10\0\0\0\x01\0\x18\0", 12) + std::string(24, '\0');
    for (std::uint32_t i = 0; i < kSide * kSide * 3; ++i) {
        bytes += static_cast<char>((i * static_cast<std::uint32_t>(2 * seed + 1)) & 0xFFU);
    }
    return make_image(std::move(bytes)).value();
}

GenerationRequest question(std::vector<ContentPart> parts, int max_tokens = 16) {
    GenerationRequest request = greedy("", max_tokens);
    Chat chat;
    chat.messages.push_back({.role = Role::kUser, .content = std::move(parts)});
    request.prompt = std::move(chat);
    return request;
}

/// An engine whose model takes images.
class Seeing {
  public:
    explicit Seeing(const EngineConfig& config = {}) {
        const std::filesystem::path projector = folder_.path() / "mmproj.gguf";
        EXPECT_TRUE(synth::write_projector({.output = projector}));
        llama::LoadOptions options;
        options.path = test_model();
        options.projector = projector.string();
        options.context_tokens = 4096;
        options.threads = 1;
        options.kv_type = "f32";
        options.gpu = false;
        auto model = llama::Model::load(options, [](float) {});
        EXPECT_TRUE(model) << model.error().message;
        engine_ = std::make_unique<Engine>(std::move(*model), config,
                                           [this](StepReport report) { collector_.take(std::move(report)); });
    }
    RequestId submit(GenerationRequest request) {
        const RequestId id = ++last_id_;
        engine_->submit(id, std::move(request));
        return id;
    }
    GenerationUpdate ask(GenerationRequest request) { return collector_.wait(submit(std::move(request))); }
    Collector& collector() { return collector_; }
    Engine& engine() { return *engine_; }

  private:
    TemporaryFolder folder_;
    Collector collector_;
    RequestId last_id_ = 0;
    std::unique_ptr<Engine> engine_;
};

TEST(EngineImages, TheSameImageIsSharedAndAnotherIsNot) {
    Seeing seeing;
    const auto ask = [&](int seed, const char* text) {
        GenerationUpdate update = seeing.ask(question({{.image = picture(seed)}, {text}}));
        EXPECT_TRUE(update.finished) << (update.error ? update.error->message : "");
        return update;
    };
    const GenerationUpdate first = ask(1, "What is it?");
    const GenerationUpdate again = ask(1, "What is it?");
    EXPECT_EQ(again.delta.content, first.delta.content);
    EXPECT_EQ(again.finished->usage.prompt_tokens, first.finished->usage.prompt_tokens);
    EXPECT_EQ(again.finished->usage.cached_tokens, first.finished->usage.prompt_tokens - 1);
    const GenerationUpdate other = ask(2, "What is it?");
    EXPECT_NE(other.delta.content, first.delta.content);
    EXPECT_LE(other.finished->usage.cached_tokens + kRows, other.finished->usage.prompt_tokens - 1);
    const GenerationUpdate more = ask(1, "And what else?");
    EXPECT_GE(more.finished->usage.cached_tokens, kRows);
}

TEST(EngineImages, SeveralAtOnceBesideAStreamSayWhatTheySayAlone) {
    std::vector<std::string> alone;
    for (int seed = 1; seed <= 3; ++seed) {
        Seeing seeing;
        alone.push_back(seeing.ask(question({{"Look"}, {.image = picture(seed)}, {"?"}})).delta.content);
    }
    EXPECT_NE(alone[0], alone[1]);
    Seeing seeing;
    const RequestId stream = seeing.submit(greedy("A story: ", 300));
    std::vector<RequestId> ids;
    for (int seed = 1; seed <= 3; ++seed) {
        ids.push_back(seeing.submit(question({{"Look"}, {.image = picture(seed)}, {"?"}})));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(seeing.collector().wait(ids[i]).delta.content, alone[i]);
    EXPECT_TRUE(seeing.collector().wait(stream).finished);
}

TEST(EngineImages, AnswersToOneImageAreForked) {
    Seeing seeing;
    GenerationRequest request = question({{.image = picture(1)}, {"?"}});
    request.n = 3;
    const RequestId first = seeing.submit(std::move(request));
    const std::string text = seeing.collector().wait(first).delta.content;
    EXPECT_EQ(seeing.collector().wait(first + 1).delta.content, text);
    EXPECT_EQ(seeing.collector().wait(first + 2).delta.content, text);
}

TEST(EngineImages, ArtifactsEndBeforeTheFirstImage) {
    const TemporaryFolder folder;
    EngineConfig config{.batch_size = 2, .batch_size_max = 2, .prefix_cache_bytes = 64 << 20};
    config.artifacts = {folder.path().string(), 1U << 30, std::chrono::hours(24), test_model()};
    std::string text;  // over 512 tokens
    for (int i = 0; i < 8; ++i) text += story(i);
    const auto saved_after = [&](std::vector<ContentPart> parts) {
        Seeing seeing(config);
        EXPECT_TRUE(seeing.ask(question(std::move(parts), 4)).finished);
        const auto report = seeing.engine().artifacts(ArtifactAction::kSave, std::chrono::seconds(20));
        EXPECT_TRUE(report);
        return report ? report->saved : 99;
    };
    EXPECT_EQ(saved_after({{.image = picture(1)}, {text}}), 0U) << "only the head stands before it, less than a block";
    EXPECT_EQ(saved_after({{text}, {.image = picture(1)}, {text}}), 2U) << "the blocks of the text before it";
    // They serve another engine, for a prompt that goes on with another image.
    Seeing seeing(config);
    (void)seeing.engine().artifacts(ArtifactAction::kPrune, std::chrono::seconds(20));  // waits for the store
    const GenerationUpdate update = seeing.ask(question({{text}, {.image = picture(2)}, {"?"}}));
    ASSERT_TRUE(update.finished);
    EXPECT_LE(update.finished->usage.cached_tokens, 512U);
    Seeing fresh;
    EXPECT_EQ(fresh.ask(question({{text}, {.image = picture(2)}, {"?"}})).delta.content, update.delta.content);
}

TEST(EngineImages, WhatGoesWithNoImageIsRefusedByName) {
    Seeing seeing;
    GenerationRequest scored = question({{.image = picture(1)}, {"?"}}, 0);
    scored.echo = true;
    scored.top_logprobs = 1;
    EXPECT_EQ(seeing.ask(std::move(scored)).error->field, "messages");
    const GenerationUpdate last = seeing.ask(question({{.image = picture(1)}, {"?"}}));
    EXPECT_TRUE(last.finished) << "and the engine goes on";
}

TEST(EngineImages, ACountHasTheTokensOfAnImageAndEncodesNone) {
    Seeing seeing;
    GenerationRequest reading = question({{.image = picture(1)}, {"?"}});
    reading.task = Task::kRead;
    const GenerationUpdate with = seeing.ask(std::move(reading));
    reading = question({{"?"}});
    reading.task = Task::kRead;
    const GenerationUpdate without = seeing.ask(std::move(reading));
    ASSERT_TRUE(with.finished && without.finished);
    EXPECT_EQ(with.finished->usage.prompt_tokens, without.finished->usage.prompt_tokens + kRows);
    EXPECT_NE(with.delta.content.find("<__media__>?"), std::string::npos) << with.delta.content;
    for (const Token token : with.finished->tokens) EXPECT_GE(token, 0);
}

}  // namespace
}  // namespace sutazai::engine
