// What is decided and seen of a model that has no engine.
#include "models/warm_model.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "models/fit.h"
#include "models/status_of.h"

namespace sutazai::models {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<WarmModel> model(const std::string& name, std::uint64_t bytes = 100) {
    auto out = std::make_unique<WarmModel>(name, Backoff(100ms, 1s, 1s));
    out->memory = ModelMemory(MemoryEstimate{.weights = bytes});
    return out;
}

TEST(WarmModel, ItsStateFollowsTheLoad) {
    const auto one = model("m");
    EXPECT_EQ(one->state(), ModelState::kCold);
    one->load.running = true;
    EXPECT_EQ(one->state(), ModelState::kLoading);
    one->load.progress.warming = true;
    EXPECT_EQ(one->state(), ModelState::kWarming);
    one->load.running = false;
    const Error error = one->load_failed({ErrorCode::kInternal, "no tensors"});
    EXPECT_EQ(one->state(), ModelState::kFailed);
    EXPECT_EQ(error.code, ErrorCode::kLoadFailed);
    EXPECT_EQ(error.message, "'m' could not be loaded: no tensors");
    EXPECT_EQ(error.retry_after_s, 1);
    EXPECT_EQ(status_of(*one, nullptr).last_error, error.message);
    one->ending.push_back(std::make_shared<EngineSlot>());
    EXPECT_EQ(one->state(), ModelState::kDraining);
}

TEST(WarmModel, AWaiterIsAnsweredOnce) {
    const auto one = model("m");
    Waiter modest{.asking = {Purpose::kModestWarmUp, {}}};
    Waiter request{.asking = {Purpose::kRequest, {}}};
    one->waiting = {&modest};
    EXPECT_FALSE(one->seen(0, {}).may_displace);
    one->waiting.push_back(&request);
    EXPECT_EQ(one->seen(0, {}).n_waiting, 2U);
    EXPECT_TRUE(one->seen(0, {}).may_displace);
    one->refuse_all({ErrorCode::kUnavailable, "first"});
    one->refuse_all({ErrorCode::kUnavailable, "second"});
    EXPECT_EQ(one->n_waiting(), 0U);
    EXPECT_EQ(request.result->error().message, "first");
    EXPECT_EQ(status_of(*one, nullptr).waiting, 0U);
}

TEST(ReasonNotToFit, CountsOnlyWhatNeverLeaves) {
    WarmModels models;
    for (const char* name : {"pinned", "loading"}) {
        models[name] = model(name, 600);
        models[name]->load.running = true;  // so that it has a place
    }
    models["pinned"]->pinned = true;
    const placement::Room room{2, 1000};
    EXPECT_FALSE(reason_not_to_fit("new", ModelMemory(MemoryEstimate{.weights = 400}), models, room));
    const auto beside = reason_not_to_fit("new", ModelMemory(MemoryEstimate{.weights = 401}), models, room);
    EXPECT_EQ(beside->code, ErrorCode::kUnavailable);
    EXPECT_NE(beside->message.find("what is pinned (pinned) leaves 1 of 2 places"), std::string::npos)
        << beside->message;
    EXPECT_EQ(reason_not_to_fit("new", ModelMemory(MemoryEstimate{.weights = 1001}), models, room)->code,
              ErrorCode::kLoadFailed);
    EXPECT_FALSE(reason_not_to_fit("pinned", ModelMemory(MemoryEstimate{.weights = 1000}), models, room))
        << "it need not fit beside itself";
}

}  // namespace
}  // namespace sutazai::models
