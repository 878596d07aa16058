#include "status/health.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sutazai::status {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using models::ModelState;
using models::ModelStatus;

ModelStatus model(std::string name, ModelState state) {
    ModelStatus status;
    status.name = std::move(name);
    status.state = state;
    return status;
}

Health health_of(const std::vector<ModelStatus>& models) {
    return judge({.models = models}).health;
}

TEST(Health, FollowsTheModels) {
    const ModelStatus warm = model("w", ModelState::kWarm);
    const ModelStatus cold = model("c", ModelState::kCold);
    const ModelStatus failed = model("f", ModelState::kFailed);
    const ModelStatus draining = model("d", ModelState::kDraining);
    EXPECT_EQ(health_of({}), Health::kUnhealthy);
    EXPECT_EQ(health_of({failed, failed}), Health::kUnhealthy);
    EXPECT_EQ(health_of({warm, failed}), Health::kDegraded);
    EXPECT_EQ(health_of({warm, draining}), Health::kHealthy) << "models come and go";
    EXPECT_EQ(health_of({warm, cold}), Health::kHealthy);
    EXPECT_TRUE(judge({.models = std::vector{warm}}).reasons.empty());
}

TEST(Health, SaysWhy) {
    ModelStatus failed = model("f", ModelState::kFailed);
    failed.last_error = "no GGUF";
    ModelStatus busy = model("b", ModelState::kWarm);
    busy.stats.waiting = 95;
    const std::vector models{failed, busy};
    HealthFacts facts{.models = models, .config_problem = "models.toml:3: no", .max_queue = 100};
    facts.machine.memory_bytes = std::uint64_t{8} << 30;
    facts.machine.available_bytes = std::uint64_t{100} << 20;
    facts.machine.disks = {{"home", std::uint64_t{1} << 40, std::uint64_t{10} << 20},
                           {"models", std::uint64_t{1} << 40, std::uint64_t{10} << 30}};
    const Verdict verdict = judge(facts);
    EXPECT_EQ(verdict.health, Health::kDegraded);
    ASSERT_EQ(verdict.reasons.size(), 5U);
    EXPECT_EQ(verdict.reasons[0], "f failed: no GGUF");
    EXPECT_NE(verdict.reasons[1].find("95 requests wait for b"), std::string::npos);
    EXPECT_EQ(verdict.reasons[2], "models.toml:3: no");
    EXPECT_NE(verdict.reasons[3].find("home folder"), std::string::npos);
    EXPECT_NE(verdict.reasons[4].find("memory left"), std::string::npos);
    facts.draining = true;
    EXPECT_EQ(judge(facts).health, Health::kUnhealthy);
}

TEST(Health, WritesAllThatIsAskedFor) {
    ModelStatus warm = model("w", ModelState::kWarm);
    warm.pid = 7;
    warm.stats.running = 2;
    warm.crashes = 3;
    warm.last_crash = "it hung";
    const std::vector models{warm};
    HealthFacts facts{.models = models, .version = "1.0", .uptime_s = 12.34, .max_queue = 9, .standby_engines = 1};
    facts.machine = {"A CPU", 4, 1000, 900, {{"home", 10, std::uint64_t{1} << 40}}};
    facts.machine.available_bytes = std::uint64_t{1} << 30;
    const json::object told = json::parse(advanced_health(facts, judge(facts))).as_object();
    EXPECT_EQ(told.at("status"), "healthy");
    EXPECT_EQ(told.at("gpu_available"), false);
    EXPECT_EQ(told.at("active_processors"), 1);
    EXPECT_TRUE(told.at("reasons").as_array().empty());
    EXPECT_EQ(told.at("version"), "1.0");
    EXPECT_EQ(told.at("uptime_s"), 12.3);
    EXPECT_EQ(told.at("devices").at(0).at("name"), "A CPU");
    EXPECT_EQ(told.at("devices").at(0).at("processors"), 4);
    EXPECT_EQ(told.at("queue").at("running"), 2);
    EXPECT_EQ(told.at("queue").at("most_waiting_per_model"), 9);
    EXPECT_EQ(told.at("memory").at("total_bytes"), 1000);
    EXPECT_EQ(told.at("disks").at(0).at("folder"), "home");
    EXPECT_EQ(told.at("models").at(0).at("restarts"), 3);
    EXPECT_EQ(told.at("models").at(0).at("last_crash"), "it hung");
    EXPECT_EQ(told.at("standby_engines"), 1);
    EXPECT_FALSE(told.contains("config_problem"));
}

TEST(Machine, IsReadFromTheKernel) {
    const fs::path root = fs::path(testing::TempDir()) / "machine";
    fs::create_directories(root / "proc");
    std::ofstream(root / "proc/cpuinfo") << "processor\t: 0\nmodel name\t: A CPU @ 3 GHz\n";
    std::ofstream(root / "proc/meminfo") << "MemTotal:  8192 kB\nMemFree: 1 kB\nMemAvailable: 4096 kB\n";
    const Machine machine = look_at_machine({{"home", root / "not" / "there" / "yet"}}, root);
    EXPECT_EQ(machine.processor, "A CPU @ 3 GHz");
    EXPECT_EQ(machine.memory_bytes, 8192U << 10);
    EXPECT_EQ(machine.available_bytes, 4096U << 10);
    ASSERT_EQ(machine.disks.size(), 1U);
    EXPECT_GT(machine.disks[0].bytes, 0U);
    fs::remove_all(root);
    EXPECT_EQ(look_at_machine({}, root).memory_bytes, 0U);
}

}  // namespace
}  // namespace sutazai::status
