#include "sched/batch_controller.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace sutazai::sched {
namespace {

using std::chrono::microseconds;

/// Runs `steps` decode steps under demand on a machine whose step at width n takes `step_ms(n)`, with noise.
void run(BatchController& controller, int steps, const std::function<double(int)>& step_ms, std::uint32_t seed = 1,
         double noise = 0.01) {
    std::mt19937 random(seed);
    std::normal_distribution<double> factor(1.0, noise);
    for (int i = 0; i < steps; ++i) {
        const double ms = step_ms(controller.batch_width()) * std::max(0.5, factor(random));
        controller.observe(controller.batch_width(), microseconds(static_cast<long>(ms * 1000)), true);
    }
}

TEST(BatchController, WidensWhileThroughputHolds) {
    BatchController controller(4, 64);
    run(controller, 2000, [](int n) { return 30.0 + 2.0 * n; });
    EXPECT_EQ(controller.batch_width(), 64);
}

TEST(BatchController, StopsBeforeTheWidthThatCosts) {
    // Beyond 40 sequences each further one costs as much as three.
    const auto cliff = [](int n) { return 30.0 + 4.0 * n + (n > 40 ? 12.0 * (n - 40) + 60 : 0.0); };
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        BatchController controller(8, 64);
        run(controller, 4000, cliff, seed);
        EXPECT_LE(controller.batch_width(), 50) << seed;
        EXPECT_GE(controller.batch_width(), 30) << seed;
    }
}

TEST(BatchController, DoesNotOscillate) {
    const auto cliff = [](int n) { return 30.0 + 4.0 * n + (n > 40 ? 12.0 * (n - 40) + 60 : 0.0); };
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        BatchController controller(8, 64);
        run(controller, 4000, cliff, seed);
        int changes = 0;
        int before = controller.batch_width();
        std::mt19937 random(seed + 100);
        std::normal_distribution<double> factor(1.0, 0.01);
        for (int i = 0; i < 8000; ++i) {
            const double ms = cliff(controller.batch_width()) * factor(random);
            controller.observe(controller.batch_width(), microseconds(static_cast<long>(ms * 1000)), true);
            changes += controller.batch_width() != before ? 1 : 0;
            before = controller.batch_width();
        }
        EXPECT_LE(changes, 60) << "in 1000 windows, seed " << seed;
    }
}

TEST(BatchController, FollowsAMachineThatGetsWorseAtWidth) {
    BatchController controller(8, 64);
    run(controller, 3000, [](int n) { return 30.0 + 2.0 * n; });
    ASSERT_EQ(controller.batch_width(), 64);
    run(controller, 6000, [](int n) { return n <= 16 ? 30.0 + 2.0 * n : 62.0 + 12.0 * (n - 16); });
    EXPECT_LE(controller.batch_width(), 24);
}

TEST(BatchController, GoesUpWhileNewcomersHoldSomeOfThePlaces) {
    BatchController controller(4, 64);
    std::mt19937 random(1);
    for (int i = 0; i < 120; ++i) {
        // Up to a fifth of the places belong to requests whose prompts are being read.
        const int n =
            controller.batch_width() - std::uniform_int_distribution<int>(0, controller.batch_width() / 5)(random);
        controller.observe(n, microseconds(30000 + 2000 * n), true);
    }
    EXPECT_EQ(controller.batch_width(), 64) << "after 120 steps";
}

TEST(BatchController, StaysWithoutDemand) {
    BatchController controller(8, 64);
    for (int i = 0; i < 1000; ++i) controller.observe(8, microseconds(1000), false);
    for (int i = 0; i < 1000; ++i) controller.observe(3, microseconds(1000), true);
    EXPECT_EQ(controller.batch_width(), 8);
}

}  // namespace
}  // namespace sutazai::sched
