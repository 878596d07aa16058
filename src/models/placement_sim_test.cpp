#include "models/testing/placement_sim.h"

#include <gtest/gtest.h>

#include <iostream>

namespace sutazai::models::simulation {
namespace {

// A load takes a third of the mean time between two requests in most of these, as models of seconds and users do.
constexpr Milliseconds kLoad{300};
constexpr Milliseconds kEnd{20};

placement::Rules rules(std::size_t places, std::uint64_t bytes = 1000) {
    placement::Rules out;
    out.room = {places, bytes};
    return out;
}

std::vector<ModelTimes> alike(std::size_t n) {
    return std::vector<ModelTimes>(n, {kLoad, kEnd, 1});
}

struct Shares {
    double warm = 0, of_belady = 0, wait_p95_ms = 0, loads = 0;
};

/// Means over seeds; 500 requests for 5 models, room for 3.
Shares shares(double exponent, Policy policy, Milliseconds gap) {
    constexpr unsigned kSeeds = 40;
    Shares mean;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
        const auto arrivals = zipf(seed, exponent, 5, 500, gap, Milliseconds(100));
        Simulation simulation(alike(5), rules(3), policy);
        const Outcome outcome = simulation.run(arrivals);
        mean.warm += outcome.warm_share() / kSeeds;
        mean.of_belady += static_cast<double>(outcome.found_warm) / static_cast<double>(belady(arrivals, 3)) / kSeeds;
        mean.wait_p95_ms += outcome.wait(0.95).count() / kSeeds;
        mean.loads += static_cast<double>(outcome.loads) / kSeeds;
    }
    return mean;
}

TEST(PlacementSim, KnowsBeladysOptimum) {
    const auto arrivals = [](const std::vector<std::size_t>& models) {
        std::vector<Arrival> out;
        for (const std::size_t model : models) out.push_back({Milliseconds(0), model, Milliseconds(0)});
        return out;
    };
    EXPECT_EQ(belady(arrivals({0, 1, 2, 0, 1, 2}), 2), 2U);
    EXPECT_EQ(belady(arrivals({0, 1, 2, 0, 1, 2}), 3), 3U);
    EXPECT_EQ(belady(arrivals({0, 1}), 2, {0, 1}), 2U);
}

/// The bars of the project: Zipf 1.5, 85 % warm; Zipf 1.0, 85 % of Belady's optimum.
TEST(PlacementSim, ZipfArrivalsFindTheirModelsWarm) {
    for (const double gap_ms : {1000.0, 300.0, 100.0}) {
        for (const double exponent : {1.5, 1.0}) {
            const Shares ours = shares(exponent, Policy::kPopularity, Milliseconds(gap_ms));
            const Shares lru = shares(exponent, Policy::kLeastRecentlyUsed, Milliseconds(gap_ms));
            std::cout << "Zipf " << exponent << ", a request every " << gap_ms << " ms: warm " << ours.warm << " (LRU "
                      << lru.warm << "), of Belady " << ours.of_belady << " (LRU " << lru.of_belady << "), p95 wait ms "
                      << ours.wait_p95_ms << " (LRU " << lru.wait_p95_ms << "), loads " << ours.loads << " (LRU "
                      << lru.loads << ")\n";
            EXPECT_GT(ours.warm, lru.warm);
            EXPECT_LE(ours.wait_p95_ms, 1.2 * lru.wait_p95_ms);
            // Where swaps take as long as the requests between them, many a request arrives during one.
            if (gap_ms < 1000) continue;
            EXPECT_GE(ours.of_belady, 0.85);
            if (exponent == 1.5) {
                EXPECT_GE(ours.warm, 0.85);
            }
        }
    }
}

TEST(PlacementSim, PopularityMayChange) {
    Shares mean;
    constexpr unsigned kSeeds = 40;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
        auto arrivals = zipf(seed, 1.5, 5, 1000, Milliseconds(200), Milliseconds(100));
        for (std::size_t i = 500; i < arrivals.size(); ++i) arrivals[i].model = 4 - arrivals[i].model;
        Simulation simulation(alike(5), rules(3));
        const Outcome outcome = simulation.run(arrivals);
        mean.of_belady += static_cast<double>(outcome.found_warm) / static_cast<double>(belady(arrivals, 3)) / kSeeds;
    }
    EXPECT_GE(mean.of_belady, 0.88);
}

TEST(PlacementSim, TwoModelsOverOnePlaceDoNotThrash) {
    // Each is asked for every 20 ms, and a swap takes 320 ms.
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 1000; ++i) {
        arrivals.push_back({Milliseconds(10 * i), static_cast<std::size_t>(i % 2), Milliseconds(50)});
    }
    Simulation simulation(alike(2), rules(1));
    const Outcome outcome = simulation.run(arrivals);
    EXPECT_LE(outcome.loads, 14U) << "a swap serves what has gathered, and goes on for the time of two loads";
    EXPECT_LE(outcome.wait(1.0), 4 * kLoad + 2 * kEnd + Milliseconds(100)) << "nobody starves";
    EXPECT_LE(outcome.ended, Milliseconds(11'000)) << "it keeps up";

    placement::Rules hasty = rules(1);
    hasty.least_collation = hasty.most_collation = std::chrono::milliseconds(0);
    EXPECT_GE(Simulation(alike(2), hasty).run(arrivals).loads, 28U);
}

TEST(PlacementSim, ASteadyStreamDoesNotKeepOthersOut) {
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 2000; ++i) arrivals.push_back({Milliseconds(10 * i), 0, Milliseconds(100)});
    arrivals.push_back({Milliseconds(5000), 1, Milliseconds(10)});
    std::ranges::stable_sort(arrivals, std::less(), &Arrival::at);
    Simulation simulation(alike(2), rules(1));
    const Outcome outcome = simulation.run(arrivals);
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
        if (arrivals[i].model == 1) {
            EXPECT_LE(outcome.waits[i], 2 * kLoad + Milliseconds(100) + kLoad + kEnd);
        }
    }
}

TEST(PlacementSim, RandomLoadsKeepTheInvariantsAndServeEverybody) {
    std::size_t beside = 0;
    for (unsigned seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const std::size_t n_models = 2 + random() % 7;
        std::vector<ModelTimes> models;
        for (std::size_t i = 0; i < n_models; ++i) {
            models.push_back({Milliseconds(1 + random() % 2000), Milliseconds(random() % 100), 1 + random() % 100});
        }
        const placement::Rules limits = rules(1 + random() % 4, 100 + random() % 200);
        const double exponent = static_cast<double>(random() % 20) / 10;
        auto arrivals =
            zipf(seed, exponent, n_models, 400, Milliseconds(1 + random() % 400), Milliseconds(1 + random() % 1000));
        if (seed % 2 == 0) {
            for (auto& arrival : arrivals) arrival.new_file = random() % 10 == 0;
        }
        Milliseconds longest_service{0};
        Milliseconds longest_turn{0};
        for (const auto& arrival : arrivals) longest_service = std::max(longest_service, arrival.service);
        for (const auto& model : models) longest_turn = std::max(longest_turn, model.load + model.end);
        Simulation simulation(models, limits);
        Outcome outcome;
        ASSERT_NO_THROW(outcome = simulation.run(arrivals));
        // Whoever waits is behind each other model once at most; a turn is a swap, its requests and the collation time.
        const Milliseconds bound =
            static_cast<double>(n_models + 1) * (longest_turn + longest_service + Milliseconds(limits.most_collation));
        EXPECT_LE(outcome.wait(1.0), bound);
        beside += outcome.beside;
    }
    EXPECT_GT(beside, 100U);
}

}  // namespace
}  // namespace sutazai::models::simulation
