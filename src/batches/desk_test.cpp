#include "batches/desk.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <map>
#include <random>
#include <set>
#include <utility>

namespace sutazai::batches {
namespace {

using namespace std::chrono_literals;

LineRecord line(std::int64_t number, std::string model = "m") {
    return {number, std::to_string(number), std::move(model), "", 0, 1};
}

Error error(ErrorCode code, int retry_after_s = 0) {
    return {code, "no", {}, retry_after_s};
}

class DeskTest : public testing::Test {
  protected:
    void give(std::int64_t batch, std::vector<LineRecord> lines) {
        desk_.add_batch(batch);
        const auto wanted = desk_.wants_lines(now_);
        ASSERT_TRUE(wanted);
        ASSERT_EQ(wanted->batch, batch);
        desk_.add_lines(batch, std::move(lines), true);
    }
    /// "batch:line" of what runs next; empty: nothing.
    std::string next(std::size_t width = 100) {
        auto task = desk_.next(now_, width);
        if (!task) return "";
        running_.push_back(*task);
        return std::to_string(task->batch) + ":" + std::to_string(task->line.number);
    }
    bool end(std::optional<Error> error = {}) {
        Task task = running_.front();
        running_.erase(running_.begin());
        const bool is_result = desk_.ended(std::move(task), error, now_);
        desk_.check();
        return is_result;
    }

    Desk desk_;
    Desk::Time now_{1h};
    std::vector<Task> running_;
};

TEST_F(DeskTest, BatchesOfOneModelTakeTurns) {
    give(1, {line(1), line(2), line(3)});
    give(2, {line(1)});
    EXPECT_EQ(next(), "1:1");
    EXPECT_EQ(next(), "2:1");
    EXPECT_EQ(next(), "1:2");
    EXPECT_EQ(next(3), "");  // as many as may run do
    EXPECT_TRUE(end());
    EXPECT_EQ(next(3), "1:3");
    EXPECT_FALSE(desk_.is_done(1));
    while (!running_.empty()) EXPECT_TRUE(end());
    EXPECT_TRUE(desk_.is_done(1));
    EXPECT_TRUE(desk_.is_done(2));
}

TEST_F(DeskTest, OneModelRunsAtATime) {
    give(1, {line(1, "a"), line(2, "a"), line(3, "b")});
    give(2, {line(1, "b"), line(2, "b")});
    EXPECT_EQ(next(), "1:1");
    EXPECT_EQ(next(), "1:2");
    // Nothing of a is left: b's turn.
    EXPECT_EQ(next(), "2:1");
    give(3, {line(1, "a")});
    EXPECT_EQ(next(), "1:3");
    EXPECT_EQ(next(), "2:2");
    EXPECT_EQ(next(), "3:1");
}

TEST_F(DeskTest, AModelThatHadItsTimeMakesRoomForAnother) {
    give(1, {line(1, "a"), line(2, "a"), line(3, "a")});
    give(2, {line(1, "b"), line(2, "b")});
    EXPECT_EQ(next(), "1:1");
    now_ += Desk::kTurn;
    EXPECT_EQ(next(), "2:1");
    EXPECT_EQ(next(), "2:2");
    EXPECT_EQ(next(), "1:2");
}

TEST_F(DeskTest, OfLinesThatAnEngineTookWithItEachIsTriedAlone) {
    give(1, {line(1), line(2), line(3)});
    EXPECT_EQ(next(), "1:1");
    EXPECT_EQ(next(), "1:2");
    EXPECT_FALSE(end(error(ErrorCode::kEngineDied)));
    EXPECT_EQ(next(), "");  // 1:2 still runs
    EXPECT_FALSE(end(error(ErrorCode::kEngineDied)));
    EXPECT_EQ(next(), "1:2");
    EXPECT_EQ(next(), "");
    EXPECT_FALSE(end(error(ErrorCode::kEngineDied)));
    EXPECT_EQ(next(), "1:2");
    EXPECT_TRUE(end(error(ErrorCode::kEngineDied)));  // the third time: it is to blame
    EXPECT_EQ(next(), "1:1");
    EXPECT_TRUE(end());
    EXPECT_EQ(next(), "1:3");
    EXPECT_TRUE(end());
    EXPECT_TRUE(desk_.is_done(1));
}

TEST_F(DeskTest, AFullQueueIsWaitedFor) {
    give(1, {line(1), line(2)});
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(next(), "1:1");
        EXPECT_FALSE(end(error(ErrorCode::kQueueFull, 3)));
        EXPECT_EQ(next(), "");
        EXPECT_EQ(desk_.next_time(now_), now_ + 3s);
        now_ += 3s;
    }
    EXPECT_EQ(next(), "1:1");
}

TEST_F(DeskTest, AModelThatDoesNotLoadIsGivenUp) {
    give(1, {line(1), line(2), line(3)});
    for (int i = 1; i < Desk::kMostTries; ++i) {
        EXPECT_EQ(next(), "1:1");
        EXPECT_FALSE(end(error(ErrorCode::kLoadFailed)));
        now_ += 60s;
    }
    EXPECT_EQ(next(), "1:1");
    EXPECT_TRUE(end(error(ErrorCode::kLoadFailed)));
    EXPECT_EQ(next(), "1:2");
    EXPECT_TRUE(end(error(ErrorCode::kLoadFailed)));  // the others need not find out for themselves
    EXPECT_EQ(next(), "1:3");
    EXPECT_TRUE(end());
}

TEST_F(DeskTest, LinesOfOtherModelsGoPastThoseThatWaitForTheirs) {
    give(1, {line(1, "a"), line(2, "a"), line(3, "b"), line(4, "b")});
    EXPECT_EQ(next(), "1:1");
    EXPECT_FALSE(end(error(ErrorCode::kLoadFailed, 30)));
    EXPECT_EQ(next(), "1:3");
    now_ += 30s;
    EXPECT_EQ(next(), "1:1");  // b has had its time
    EXPECT_EQ(next(), "1:2");
    EXPECT_EQ(next(), "1:4");
    while (!running_.empty()) EXPECT_TRUE(end());
    EXPECT_TRUE(desk_.is_done(1));
}

TEST_F(DeskTest, ReadsOnPastLinesThatWaitForTheirModel) {
    desk_.add_batch(1);
    std::int64_t number = 0;
    const auto read = [&](const std::string& model) {
        if (!desk_.wants_lines(now_)) return false;
        std::vector<LineRecord> lines;
        while (lines.size() < Desk::kAhead) lines.push_back(line(++number, model));
        desk_.add_lines(1, std::move(lines), false);
        return true;
    };
    EXPECT_TRUE(read("a"));
    EXPECT_FALSE(read("a"));
    EXPECT_EQ(next(), "1:1");
    EXPECT_FALSE(end(error(ErrorCode::kLoadFailed, 60)));
    EXPECT_TRUE(read("a"));
    EXPECT_TRUE(read("b"));
    EXPECT_FALSE(read("b"));
    EXPECT_EQ(next(), "1:129");
    EXPECT_FALSE(end(error(ErrorCode::kLoadFailed, 60)));
    while (read("b")) ASSERT_LE(number, static_cast<std::int64_t>(Desk::kMostAhead));
    EXPECT_EQ(number, static_cast<std::int64_t>(Desk::kMostAhead));
}

TEST_F(DeskTest, WhatIsWrongWithALineIsItsResult) {
    give(1, {line(1), line(2)});
    EXPECT_EQ(next(), "1:1");
    EXPECT_TRUE(end(error(ErrorCode::kInvalidArgument)));
    EXPECT_EQ(next(), "1:2");
    EXPECT_TRUE(end(error(ErrorCode::kContextOverflow)));
}

TEST_F(DeskTest, WhatWasPutBackRunsAgain) {
    give(1, {line(1), line(2)});
    EXPECT_EQ(next(), "1:1");
    desk_.put_back(running_.front());
    running_.clear();
    EXPECT_EQ(next(), "1:1");
    // A batch that has gone takes nothing back.
    desk_.remove_batch(1);
    desk_.put_back(running_.front());
    running_.clear();
    desk_.check();
    EXPECT_EQ(next(), "");
    EXPECT_TRUE(desk_.is_done(1));
}

TEST_F(DeskTest, ReadsAheadOnlySoFar) {
    desk_.add_batch(1);
    auto wanted = desk_.wants_lines(now_);
    ASSERT_TRUE(wanted);
    EXPECT_FALSE(wanted->after);
    EXPECT_FALSE(desk_.wants_lines(now_));  // it is being read
    std::vector<LineRecord> lines;
    for (std::int64_t i = 1; i <= static_cast<std::int64_t>(Desk::kAhead); ++i) lines.push_back(line(i));
    desk_.add_lines(1, lines, false);
    EXPECT_FALSE(desk_.wants_lines(now_));
    for (std::size_t i = 0; i < Desk::kAhead / 2; ++i) EXPECT_NE(next(), "");
    wanted = desk_.wants_lines(now_);
    ASSERT_TRUE(wanted);
    EXPECT_EQ(wanted->after->number, static_cast<std::int64_t>(Desk::kAhead));
}

/// Whatever fails, and however often, each line has one result; a poisonous one takes no other with it; nothing waits
/// for ever.
TEST(DeskSim, EachLineComesToOneEnd) {
    for (unsigned seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        Desk desk;
        Desk::Time now{1h};
        std::map<std::int64_t, std::vector<LineRecord>> inputs;
        std::map<std::int64_t, std::size_t> n_read;
        std::set<std::pair<std::int64_t, std::int64_t>> poison;
        for (std::int64_t batch = 1 + random() % 4; batch > 0; --batch) {
            const std::int64_t n_lines = random() % 200;
            std::vector<LineRecord>& lines = inputs[batch];
            for (std::int64_t i = 1; i <= n_lines; ++i) {
                lines.push_back(line(i, i * 2 > n_lines ? "b" : "a"));
                if (random() % 60 == 0) poison.emplace(batch, i);
            }
            desk.add_batch(batch);
        }
        std::vector<Task> running;
        std::map<std::pair<std::int64_t, std::int64_t>, bool> results;
        const auto finish = [&](std::size_t at, const std::optional<Error>& failure) {
            Task task = running[at];
            running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
            const std::pair key{task.batch, task.line.number};
            if (desk.ended(std::move(task), failure, now)) {
                ASSERT_TRUE(results.emplace(key, !failure).second) << "two results of one line";
            }
        };
        int rounds = 0;
        const auto all_done = [&] {
            return std::ranges::all_of(inputs, [&](const auto& input) { return desk.is_done(input.first); });
        };
        while (!all_done()) {
            ASSERT_LT(++rounds, 200'000) << "it does not come to an end";
            while (const auto wanted = desk.wants_lines(now)) {
                std::size_t& at = n_read[wanted->batch];
                const std::vector<LineRecord>& lines = inputs[wanted->batch];
                const std::size_t n = std::min(Desk::kAhead, lines.size() - at);
                const auto begin = lines.begin() + static_cast<std::ptrdiff_t>(at);
                desk.add_lines(wanted->batch, {begin, begin + static_cast<std::ptrdiff_t>(n)}, n < Desk::kAhead);
                at += n;
            }
            const std::size_t width = 1 + random() % 24;
            while (auto task = desk.next(now, width)) {
                ASSERT_TRUE(!task->alone || std::ranges::none_of(running, [&](const Task& other) {
                    return other.line.model == task->line.model;
                }));
                running.push_back(std::move(*task));
            }
            desk.check();
            now += std::chrono::milliseconds(random() % 2000);
            if (running.empty()) {
                if (const auto later = desk.next_time(now)) now = *later;
                continue;
            }
            const std::size_t at = random() % running.size();
            const std::string model = running[at].line.model;
            const bool is_poison = poison.contains({running[at].batch, running[at].line.number});
            if (is_poison || random() % 200 == 0) {  // the engine dies, and all of its lines with it
                for (std::size_t i = running.size(); i-- > 0;) {
                    if (running[i].line.model == model) finish(i, error(ErrorCode::kEngineDied));
                }
            } else if (random() % 10 == 0) {
                finish(at, error(ErrorCode::kQueueFull, 1));
            } else if (random() % 40 == 0) {
                finish(at, error(ErrorCode::kUpstreamFailed, 30));
            } else if (random() % 20 == 0) {
                Task task = running[at];
                running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
                desk.put_back(std::move(task));
            } else if (random() % 30 == 0) {
                finish(at, error(ErrorCode::kInvalidArgument));
            } else {
                finish(at, {});
            }
        }
        std::size_t n_lines = 0;
        for (const auto& [batch, lines] : inputs) n_lines += lines.size();
        EXPECT_EQ(results.size(), n_lines);
        for (const auto& key : poison) EXPECT_FALSE(results.at(key));
    }
}

}  // namespace
}  // namespace sutazai::batches
