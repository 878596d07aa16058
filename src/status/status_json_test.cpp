#include "status/status_json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <vector>

#include "base/json_text.h"

namespace sutazai::status {
namespace {

/// The same document as it is written: without blanks, numbers with the fewest digits.
std::string written(std::string_view json) {
    return to_json(boost::json::parse(json));
}

using models::ModelState;
using models::ModelStatus;

ModelStatus model(std::string name, ModelState state) {
    ModelStatus status;
    status.name = std::move(name);
    status.state = state;
    return status;
}

TEST(Readiness, ListsStates) {
    ModelStatus failed = model("f \"x\"", ModelState::kFailed);
    failed.last_error = "no GGUF";
    EXPECT_EQ(readiness(false, std::vector{failed}),
              written(R"({"status": "not ready", "models": [{"name": "f \"x\"", "state": ")" +
                      std::string(models::to_string(ModelState::kFailed)) + R"(", "last_error": "no GGUF"}]})"));
    failed.crashes = 2;
    failed.last_crash = "it hung";
    EXPECT_NE(readiness(false, std::vector{failed}).find(R"("crashes":2,"last_crash":"it hung"})"), std::string::npos);
}

TEST(PerformanceMetrics, WritesTheGoldenBytes) {
    ModelStatus warm = model("qwen2.5:3b", ModelState::kWarm);
    warm.requests = 8;
    warm.found_warm = 7;
    warm.measured_bytes = 3 << 19;
    warm.stats = {.running = 2,
                  .waiting = 3,
                  .batch_width = 16,
                  .kv_cells_used = 25,
                  .kv_cells = 100,
                  .prompt_tokens = 11,
                  .generation_tokens = 52,
                  .cached_tokens = 4,
                  .steps = 10,
                  .step_us = 1000};
    const ModelStatus cold = model("cold", ModelState::kCold);
    serve::RequestMetrics requests;
    requests["qwen2.5:3b"].e2e.observe(std::chrono::milliseconds(2000));
    requests["qwen2.5:3b"].e2e.observe(std::chrono::milliseconds(2900));
    warm.moves = {.loads = 3, .failed_loads = 1, .evictions = 2, .unloads = 4};
    requests["qwen2.5:3b"].outcomes["stop"] = 2;
    requests["qwen2.5:3b"].generated_tokens = 50;
    const std::string told = performance_metrics(std::vector{cold, warm}, requests);
    const std::string begin = written(
        R"({"cache_status": {"total_models": 2, "warmed_models": 1, "cache_hit_rate": 87.5, )"
        R"("total_cache_size_mb": 1.5, "prefix_hit_rate": 36.4}, "performance_stats": {"qwen2.5:3b": {"total_requests": 8, )"
        R"("avg_latency": 2.450, "cache_hits": 7, "cache_misses": 1, "batch_efficiency": 5.20, )"
        R"("batch_width": 16, "requests_running": 2, "requests_waiting": 3, "warm_started_from": null, "kv_cache_usage_perc": 0.2500, "prompt_tokens": 11, )"
        R"("generation_tokens": 52, "cached_tokens": 4, "prefix_hit_rate": 36.4, "batch_size": {"now": 2, "mean": 5.2}, )"
        R"("preemptions": 0, "loads": 3, "load_failures": 1, "evictions": 2, "unloads": 4, )"
        R"("artifacts": {"count": 0, "bytes": 0, "restored_tokens": 0}, "tokens_per_s": 0.0}}})");
    EXPECT_TRUE(told.starts_with(begin.substr(0, begin.size() - 3))) << told;
    const auto stats = boost::json::parse(told).at("performance_stats").at("qwen2.5:3b");
    EXPECT_EQ(stats.at("outcomes").at("stop"), 2);
    EXPECT_EQ(stats.at("request_generation_tokens"), 50);
    EXPECT_EQ(stats.at("e2e_s").at("count"), 2);
    EXPECT_EQ(stats.at("e2e_s").at("sum"), 4.9);
    EXPECT_NEAR(stats.at("e2e_s").at("p50").as_double(), 2.0, 2.0 / 64);
    EXPECT_NEAR(stats.at("e2e_s").at("p99").as_double(), 2.9, 2.9 / 64);
    EXPECT_EQ(stats.at("ttft_s").at("p50"), 0.0);
}

TEST(PerformanceMetrics, OtherNamesOfAModelHaveTheirRequests) {
    const ModelStatus warm = model("a", ModelState::kWarm);
    ModelStatus alias = model("x", ModelState::kWarm);
    alias.alias_of = "a";
    serve::RequestMetrics requests;
    EXPECT_FALSE(boost::json::parse(performance_metrics(std::vector{warm, alias}, requests))
                     .at("performance_stats")
                     .as_object()
                     .contains("x"));
    requests["x"].requests = 3;
    const auto told = boost::json::parse(performance_metrics(std::vector{warm, alias}, requests));
    EXPECT_EQ(told.at("performance_stats").at("x").at("total_requests"), 3);
    EXPECT_EQ(told.at("performance_stats").at("x").at("alias_of"), "a");
}

TEST(PerformanceMetrics, NumbersAreShortAndKeepTheirPoint) {
    ModelStatus warm = model("m", ModelState::kWarm);
    warm.stats.steps = 3;
    warm.stats.generation_tokens = 7;
    serve::RequestMetrics requests;
    requests["m"].e2e.observe(std::chrono::milliseconds(2000));
    const std::string document = performance_metrics(std::vector{warm}, requests);
    for (const char* part : {R"("avg_latency":2.0,)", R"("batch_efficiency":2.33,)", R"("cache_hit_rate":0.0,)"}) {
        EXPECT_NE(document.find(part), std::string::npos) << document;
    }
}

TEST(PerformanceMetrics, AreZeroWithoutModels) {
    EXPECT_EQ(
        performance_metrics({}, {}),
        written(
            R"({"cache_status": {"total_models": 0, "warmed_models": 0, "cache_hit_rate": 0.0, )"
            R"("total_cache_size_mb": 0.0, "prefix_hit_rate": 0.0}, "performance_stats": {}, "system_info": {"gpu_available": false, )"
            R"("device_preference": "cpu", "active_batch_processors": 0, "pending_batch_requests": 0}})"));
}

}  // namespace
}  // namespace sutazai::status
