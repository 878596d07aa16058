#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "models/testing/manager_fixture.h"

namespace sutazai::models {
namespace {

using namespace testing_support;  // NOLINT(google-build-using-namespace)

struct Crowd {
    int open = 0;
    int leases = 0;
    int refusals = 0;
    int cancelled = 0;
};

/// One requester: asks, holds, sometimes breaks the engine.
asio::awaitable<void> visit(AdvancedModelManager& manager, Crowd& crowd, std::string name, unsigned random) {
    const Result<Lease> got = co_await manager.acquire(name);
    if (!got) {
        ++crowd.refusals;
        EXPECT_NE(got.error().message, "");
        co_return;
    }
    ++crowd.leases;
    EXPECT_TRUE(got->engine().alive());
    EXPECT_EQ(got->model(), name);
    const char* command = random % 50 == 0 ? "die 1" : random % 3 == 0 ? "pace 5" : "count 3";
    ipc::TokenStream stream = got->engine().submit(request(command));
    if (random % 7 == 0) co_return;
    for (GenerationUpdate update; !update.last();) update = co_await stream.next();
}

class ModelManagerSim : public ManagerFixture {};

TEST_F(ModelManagerSim, RandomVisitsKeepTheInvariants) {
    tuning_.first_backoff = 1ms;
    tuning_.longest_backoff = 4ms;
    tuning_.load_timeout = 2s;
    for (unsigned seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        settings_.model_cache_size = 1 + seed % 3;
        io_.restart();
        run([&, seed](AdvancedModelManager& manager) -> asio::awaitable<void> {
            std::mt19937 random(seed);
            const std::vector<std::string> names{
                "a", "b", "c", "slow.slow_load", "bad.fail_load", "text", "dies.die_in_load"};
            Crowd crowd;
            for (int i = 0; i < 300; ++i) {
                // The slow one seldom, or the test would be slow as well.
                const std::string& name = names[random() % (random() % 20 == 0 ? names.size() : 3)];
                auto cancel = std::make_shared<asio::cancellation_signal>();
                ++crowd.open;
                asio::co_spawn(io_, visit(manager, crowd, name, random()),
                               asio::bind_cancellation_slot(cancel->slot(), [&crowd, cancel](std::exception_ptr e) {
                                   --crowd.open;
                                   crowd.cancelled += e ? 1 : 0;
                               }));
                if (random() % 10 == 0) {
                    co_await sleep_for(std::chrono::milliseconds(random() % 20));
                    cancel->emit(asio::cancellation_type::terminal);
                }
                if (random() % 4 == 0) co_await sleep_for(std::chrono::milliseconds(random() % 4));
                EXPECT_LE(n_children(), settings_.model_cache_size);
                std::size_t warm = 0;
                for (const auto& entry : manager.status()) {
                    const bool has_process = entry.pid != 0 || entry.state == ModelState::kLoading;
                    warm += has_process ? 1 : 0;
                    EXPECT_TRUE(entry.state != ModelState::kWarm || entry.pid != 0);
                    EXPECT_LE(entry.found_warm, entry.requests);
                }
                EXPECT_LE(warm, settings_.model_cache_size);
            }
            co_await until([&] { return crowd.open == 0; });
            EXPECT_GT(crowd.leases, 100);
            EXPECT_GT(crowd.cancelled, 0);
            EXPECT_GT(crowd.refusals, 0);
            EXPECT_EQ(manager.open_requests(), 0U);
        });
    }
}

}  // namespace
}  // namespace sutazai::models
