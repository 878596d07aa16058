#include "ipc/step_frames.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "ipc/frame.h"
#include "ipc/wire.h"

namespace sutazai::ipc {
namespace {

using Updates = std::vector<std::pair<RequestId, GenerationUpdate>>;

GenerationUpdate text(std::string what, std::uint32_t n_tokens = 1) {
    GenerationUpdate update;
    update.delta.content = std::move(what);
    update.n_tokens = n_tokens;
    return update;
}

/// What the server puts together from them, in order.
std::map<RequestId, GenerationUpdate> together(const StepFrames& frames) {
    std::map<RequestId, GenerationUpdate> all;
    std::set<RequestId> ended;
    for (const wire::FromEngine& message : frames.messages) {
        for (const wire::Delta& delta : message.step().deltas()) {
            EXPECT_FALSE(ended.contains(delta.request_id())) << "nothing comes after the end";
            GenerationUpdate part = from_wire(delta);
            GenerationUpdate& to = all[delta.request_id()];
            to.delta.append(part.delta);
            to.n_tokens += part.n_tokens;
            to.scores.insert(to.scores.end(), part.scores.begin(), part.scores.end());
            if (!part.embedding.empty()) to.embedding = part.embedding;
        }
        for (const wire::Finished& finished : message.step().finished()) {
            all[finished.request_id()].finished = from_wire(finished);
            ended.insert(finished.request_id());
        }
        for (const wire::Failed& failed : message.step().failed()) {
            all[failed.request_id()].error = from_wire(failed);
            ended.insert(failed.request_id());
        }
    }
    return all;
}

TEST(StepFrames, ASmallStepIsOneMessage) {
    GenerationUpdate last = text("b");
    last.finished = Finished{FinishReason::kStop, {1, 2, 3}, {}};
    wire::Stats stats;
    stats.set_steps(7);
    const StepFrames frames = step_frames({{1, text("a")}, {2, last}, {3, text("", 1)}}, &stats);
    ASSERT_EQ(frames.messages.size(), 1U);
    EXPECT_EQ(frames.messages[0].step().deltas_size(), 3);
    EXPECT_EQ(frames.messages[0].step().finished_size(), 1);
    EXPECT_EQ(frames.messages[0].step().stats().steps(), 7U);
    EXPECT_EQ(together(frames).at(2).finished->usage.completion_tokens, 2U);
}

TEST(StepFrames, NothingIsOneMessageToo) {
    EXPECT_EQ(step_frames({}, nullptr).messages.size(), 1U);
}

TEST(StepFrames, ALargeStepIsSeveralMessagesThatEachFit) {
    constexpr StepFrames::Limits kLimits{2000, 4000};
    Updates updates;
    GenerationUpdate echo = text("", 0);
    for (int i = 0; i < 1000; ++i) echo.delta.content += "\u00e4\u8ba2\U0001F600";  // 9 bytes
    for (int i = 0; i < 100; ++i) {
        TokenScore score{{std::to_string(i), -1}, {}, i > 0};
        for (int k = 0; k < 5; ++k) score.top.push_back({"other", -2});
        echo.scores.push_back(score);
    }
    echo.finished = Finished{FinishReason::kLength, {9, 0, 0}, {}};
    const GenerationUpdate sent = echo;
    updates.emplace_back(1, std::move(echo));
    for (RequestId id = 2; id < 12; ++id) {
        GenerationUpdate vector;
        vector.embedding.assign(400, static_cast<float>(id));
        vector.finished = Finished{};
        updates.emplace_back(id, std::move(vector));
    }
    const wire::Stats stats;
    const StepFrames frames = step_frames(std::move(updates), &stats, kLimits);
    EXPECT_GT(frames.messages.size(), 10U);
    EXPECT_TRUE(frames.failed.empty());
    std::size_t n_stats = 0;
    for (const wire::FromEngine& message : frames.messages) {
        EXPECT_LE(message.ByteSizeLong(), 2000U);
        n_stats += message.step().has_stats() ? 1 : 0;
        for (const wire::Delta& delta : message.step().deltas()) {
            const auto begin = static_cast<unsigned char>(delta.content().empty() ? 0 : delta.content()[0]);
            EXPECT_NE(begin & 0xC0U, 0x80U) << "each part is whole characters";
        }
    }
    EXPECT_EQ(n_stats, 1U);
    EXPECT_TRUE(frames.messages.back().step().has_stats());
    const auto got = together(frames);
    EXPECT_EQ(got.at(1).delta.content, sent.delta.content);
    EXPECT_EQ(got.at(1).scores, sent.scores);
    EXPECT_TRUE(got.at(1).finished);
    for (RequestId id = 2; id < 12; ++id) {
        EXPECT_EQ(got.at(id).embedding, std::vector<float>(400, static_cast<float>(id)));
        EXPECT_TRUE(got.at(id).finished);
    }
}

TEST(StepFrames, LongReasoningAndArgumentsAreCutBetweenCharacters) {
    constexpr StepFrames::Limits kLimits{1000, 2000};
    GenerationUpdate update = text("", 3);
    std::string words;
    for (int i = 0; i < 500; ++i) words += "\u00e4\u8ba2\U0001F600";
    update.delta = {words, words, {{0, "call_1", "f", words}, {1, "call_2", "g", "{}"}, {2, "call_3", "h", words}}};
    const Delta sent = update.delta;
    const StepFrames frames = step_frames({{1, std::move(update)}}, nullptr, kLimits);
    EXPECT_GT(frames.messages.size(), 18U);
    const auto is_whole = [](const std::string& part) {
        return part.empty() || (static_cast<unsigned char>(part[0]) & 0xC0U) != 0x80U;
    };
    for (const wire::FromEngine& message : frames.messages) {
        EXPECT_LE(message.ByteSizeLong(), 1000U);
        for (const wire::Delta& delta : message.step().deltas()) {
            EXPECT_TRUE(is_whole(delta.content()) && is_whole(delta.reasoning()));
            for (const wire::ToolCallDelta& call : delta.tool_calls()) EXPECT_TRUE(is_whole(call.arguments()));
        }
    }
    EXPECT_EQ(together(frames).at(1).delta, sent);
    EXPECT_EQ(together(frames).at(1).n_tokens, 3U);
}

TEST(StepFrames, WhatCannotBeCutAndIsTooLargeFailsItsRequestAlone) {
    constexpr StepFrames::Limits kLimits{2000, 4000};
    GenerationUpdate large;
    large.embedding.assign(2000, 1.0F);
    large.finished = Finished{};
    const StepFrames frames = step_frames({{1, text("a")}, {2, large}, {3, text("b")}}, nullptr, kLimits);
    EXPECT_EQ(frames.failed, std::vector<RequestId>{2});
    const auto got = together(frames);
    EXPECT_EQ(got.at(1).delta.content, "a");
    EXPECT_EQ(got.at(3).delta.content, "b");
    EXPECT_EQ(got.at(2).error->code, ErrorCode::kInternal);
    EXPECT_FALSE(got.at(2).finished);
}

TEST(StepFrames, TheEstimateIsNeverBelowTheTruth) {
    GenerationUpdate update = text(std::string(1000, 'x'));
    for (int i = 0; i < 50; ++i) update.scores.push_back({{"abc", -1.5F}, {{"d", -2}, {"", -3}}, true});
    const StepFrames frames = step_frames({{UINT64_MAX, update}}, nullptr, {100, 200});
    for (const wire::FromEngine& message : frames.messages) EXPECT_LE(message.ByteSizeLong(), 200U);
    EXPECT_EQ(together(frames).at(UINT64_MAX).scores, update.scores);
}

/// More than 64 MiB in one step, as the scores of a very long prompt are.
TEST(StepFrames, MoreThanAFrameHoldsIsSent) {
    GenerationUpdate echo;
    echo.delta.content.assign(kMaxFrameBytes + 5, 'x');
    const StepFrames frames = step_frames({{1, std::move(echo)}}, nullptr);
    std::size_t n_bytes = 0;
    for (const wire::FromEngine& message : frames.messages) {
        std::string frame;
        EXPECT_TRUE(append_frame(frame, message));
        for (const wire::Delta& delta : message.step().deltas()) n_bytes += delta.content().size();
    }
    EXPECT_EQ(n_bytes, kMaxFrameBytes + 5);
}

}  // namespace
}  // namespace sutazai::ipc
