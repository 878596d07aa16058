// Grammars on the way to the decode thread: each made once, dear ones in nobody's way.
#include "engine/grammars.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/collector.h"
#include "engine/testing/fake_model.h"

namespace sutazai::engine {
namespace {

using namespace std::chrono_literals;

GenerationRequest constrained(std::string grammar) {
    GenerationRequest request;
    request.prompt = "a prompt";
    request.sampling.temperature = 0;
    request.max_tokens = 3;
    request.grammar = std::move(grammar);
    return request;
}

/// Some 300,000 states. `i` tells one from another.
GenerationRequest dear(int i, int n_classes = 10'000) {
    std::string grammar = "root ::= [a-z]{3} | \"" + std::to_string(i) + "\"";
    for (int k = 0; k < n_classes; ++k) grammar += " [^a]";
    return constrained(grammar);
}

class GrammarsOfAnEngine : public testing::Test {
  protected:
    void TearDown() override { EXPECT_EQ(FakeModel::wrongs(), std::vector<std::string>()); }

    void start(std::uint32_t max_queue = 512, std::chrono::microseconds queue_timeout = 0us) {
        EngineConfig config;
        config.batch_size = config.batch_size_max = 4;
        config.max_queue = max_queue;
        config.queue_timeout = queue_timeout;
        engine_ = std::make_unique<Engine>(std::make_unique<FakeModel>(FakeModel::Shape{}), config,
                                           [&](StepReport report) { collector_.take(std::move(report)); });
    }
    RequestId submit(GenerationRequest request) {
        engine_->submit(++last_id_, std::move(request));
        return last_id_;
    }
    GenerationUpdate ask(GenerationRequest request) { return collector_.wait(submit(std::move(request))); }
    /// Hits and misses so far, as of the last step.
    std::pair<std::uint64_t, std::uint64_t> counts() {
        (void)ask(constrained(""));
        return {collector_.stats().grammar_hits, collector_.stats().grammar_misses};
    }

    Collector collector_;
    RequestId last_id_ = 0;
    std::unique_ptr<Engine> engine_;
};

TEST_F(GrammarsOfAnEngine, DearOnesAreInNobodysWay) {
    start();
    std::vector<RequestId> waiting;
    for (int i = 0; i < 30; ++i) waiting.push_back(submit(dear(i)));
    const auto n_ended = [&] {
        return std::ranges::count_if(waiting, [&](RequestId id) { return collector_.has_ended(id); });
    };
    EXPECT_TRUE(ask(constrained("")).finished);
    EXPECT_TRUE(ask(constrained("root ::= [a-z]+")).finished);
    EXPECT_LT(n_ended(), 15) << "they came first";
    // The thread that makes them is seen to get on.
    std::set<std::uint64_t> seen;
    while (n_ended() < 30) {
        for (const Work& work : engine_->works()) {
            if (std::strcmp(work.what, "the compilation of a grammar") == 0) seen.insert(work.progress);
        }
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_GT(seen.size(), 1U);
    for (const RequestId id : waiting) EXPECT_EQ(collector_.wait(id).delta.content.size(), 3U);
    engine_->wait_until_idle();
    EXPECT_TRUE(engine_->works().empty());
}

TEST_F(GrammarsOfAnEngine, EachIsMadeOnceForAllWhoWantIt) {
    start();
    std::vector<RequestId> all;
    for (int i = 0; i < 30; ++i) all.push_back(submit(dear(0)));
    for (const RequestId id : all) EXPECT_TRUE(collector_.wait(id).finished);
    EXPECT_EQ(counts(), std::pair(29UL, 1UL));
    EXPECT_TRUE(ask(dear(0)).finished);
    GenerationRequest of_another = dear(0);
    of_another.cache_salt = "another tenant";
    EXPECT_TRUE(ask(std::move(of_another)).finished);
    EXPECT_EQ(counts(), std::pair(30UL, 2UL));
    // Why there is none is kept as well.
    for (const GenerationRequest& request : {constrained("root ::= nothing"), dear(0, 20'000)}) {
        const GenerationUpdate refused = ask(request);
        ASSERT_TRUE(refused.error);
        EXPECT_EQ(refused.error->code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error->field, "grammar");
        EXPECT_EQ(ask(request).error->message, refused.error->message);
    }
    EXPECT_EQ(counts(), std::pair(32UL, 4UL));
}

TEST_F(GrammarsOfAnEngine, ThoseThatWaitForOneAreBoundedAndMayLeave) {
    start(/*max_queue=*/2);
    EXPECT_TRUE(ask(constrained("")).finished);
    engine_->wait_until_idle();
    // Four can begin at once, two wait.
    std::vector<RequestId> waiting;
    for (int i = 0; i < 6; ++i) waiting.push_back(submit(dear(i)));
    const auto refused = ask(dear(6));
    ASSERT_TRUE(refused.error);
    EXPECT_EQ(refused.error->code, ErrorCode::kQueueFull);
    engine_->cancel(waiting[5]);
    engine_->cancel(waiting[0]);
    EXPECT_TRUE(ask(dear(7)).finished);
    for (const int i : {1, 2, 3, 4}) EXPECT_TRUE(collector_.wait(waiting[static_cast<std::size_t>(i)]).finished);
    EXPECT_FALSE(collector_.has_ended(waiting[0]));
    EXPECT_FALSE(collector_.has_ended(waiting[5]));
    engine_->wait_until_idle();
}

TEST_F(GrammarsOfAnEngine, ThoseThatWaitForTooLongAreToldSo) {
    start(/*max_queue=*/512, /*queue_timeout=*/1ms);
    std::vector<RequestId> waiting;
    for (int i = 0; i < 10; ++i) waiting.push_back(submit(dear(i)));
    int n_late = 0;
    for (const RequestId id : waiting) {
        const GenerationUpdate update = collector_.wait(id);
        if (!update.error) continue;
        EXPECT_EQ(update.error->code, ErrorCode::kQueueTimeout);
        ++n_late;
    }
    EXPECT_GE(n_late, 8);
    engine_->wait_until_idle();
}

TEST_F(GrammarsOfAnEngine, AnEndInTheMiddleOfThemIsAnEnd) {
    for (int round = 0; round < 5; ++round) {
        start();
        for (int i = 0; i < 6; ++i) submit(dear(i / 2));
        std::this_thread::sleep_for(20ms * round);
        engine_ = nullptr;
    }
}

TEST(GrammarCache, HoldsSoManyBytesOfWhatWasUsedLast) {
    const FakeModel model({});
    const auto made = [&](const std::string& gbnf) {
        grammar::Work work{1'000'000};
        return llama::compile(model, {false, gbnf}, work);
    };
    const MadeGrammar some = made("root ::= [a-z]{1000}");
    ASSERT_TRUE(some);
    GrammarCache cache(7 * (*some)->bytes() / 2);
    for (const char* key : {"a", "b", "c"}) cache.keep(key, some);
    ASSERT_NE(cache.find("a"), nullptr);
    EXPECT_EQ(cache.find("a")->value(), *some);
    cache.keep("d", some);
    EXPECT_EQ(cache.find("b"), nullptr) << "used least recently";
    for (const char* key : {"a", "c", "d"}) EXPECT_NE(cache.find(key), nullptr) << key;
    cache.keep("large", made("root ::= [a-z]{8000}"));
    EXPECT_EQ(cache.find("large"), nullptr) << "larger than all there is";
    cache.keep("wrong", made("root ::= nothing"));
    ASSERT_NE(cache.find("wrong"), nullptr);
    EXPECT_FALSE(*cache.find("wrong"));
    EXPECT_LE(cache.bytes(), 7 * (*some)->bytes() / 2);
}

}  // namespace
}  // namespace sutazai::engine
