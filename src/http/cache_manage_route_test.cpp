#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::string_view kManage = "/api/v1/streaming/cache/manage";

/// Two places.
class CacheManageTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"a", "b", "c", "bad.fail_load", "full.no_artifacts", "partly.part_artifacts"});
        settings_.model_cache_size = 2;
        tuning_.placement.restore_factor = 1e9;
        start();
    }

    Response manage(std::string_view body) { return ask("POST", kManage, body); }
    json::object done(std::string_view body) {
        const Response response = manage(body);
        EXPECT_EQ(response.status, 200) << response.body;
        return json::parse(response.body).as_object();
    }
    /// "a: is warm (warm); bad: failed because (failed)"
    std::string outcomes(std::string_view body) {
        std::string out;
        const json::object answer = done(body);
        for (const auto& result : answer.at("results").as_array()) {
            const json::object& one = result.as_object();
            out += fmt::format("{}{}{}: {} ({})", out.empty() ? "" : "; ", one.at("success").as_bool() ? "" : "NOT ",
                               std::string_view(one.at("model").as_string()),
                               std::string_view(one.at("message").as_string()),
                               std::string_view(one.at("state").as_string()));
        }
        return out;
    }
    json::object model(std::string_view name) {
        const json::object status = done(R"({"action": "status"})");
        for (const auto& entry : status.at("models").as_array()) {
            if (entry.at("name").as_string() == name) return entry.as_object();
        }
        ADD_FAILURE() << "no model " << name;
        return {};
    }
};

TEST_F(CacheManageTest, WarmsWhatItCanAndSaysWhatItCannot) {
    const std::string got =
        outcomes(R"({"action": "warmup", "models": ["a", "bad.fail_load", "nobody", "b", "c", "a"]})");
    const std::string expected =
        "a: is warm (warm); "
        "NOT bad.fail_load: 'bad.fail_load' could not be loaded: the file has no tensors (failed); "
        "NOT nobody: there is no model \"nobody\"; this server has: a, b, bad.fail_load, c, full.no_artifacts, "
        "partly.part_artifacts (cold); "
        "b: is warm (warm); "
        "NOT c: 'c' needs a place and ";
    EXPECT_EQ(got.substr(0, expected.size()), expected);
    EXPECT_NE(got.find("what was just warmed up (a, b) leaves 0 of 2 places"), std::string::npos) << got;
}

TEST_F(CacheManageTest, StatusTellsOfEachModel) {
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: is warm (warm)");
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: was warm already (warm)");
    const json::object status = done(R"({"action": "status"})");
    EXPECT_EQ(status.at("total_models").as_int64(), 6);
    EXPECT_EQ(status.at("warmed_models").as_int64(), 1);
    EXPECT_EQ(status.at("max_models").as_int64(), 2);
    EXPECT_GT(status.at("total_cache_size_mb").as_double(), 1);
    EXPECT_GT(model("a").at("bytes_measured").as_int64(), 1 << 20);
    EXPECT_EQ(model("b").at("state").as_string(), "cold");
}

TEST_F(CacheManageTest, PinsAndEvicts) {
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a", "b"]})"), "a: is warm (warm); b: is warm (warm)");
    EXPECT_EQ(outcomes(R"({"action": "pin", "models": ["a", "nobody"]})"),
              "a: is pinned until it is unpinned (warm); NOT nobody: there is no model \"nobody\"; this server has: a, "
              "b, bad.fail_load, c, full.no_artifacts, partly.part_artifacts (cold)");
    EXPECT_TRUE(model("a").at("pinned").as_bool());
    EXPECT_EQ(outcomes(R"({"action": "evict", "models": ["a", "b", "c"]})"),
              "NOT a: 'a' is pinned; unpin it first (warm); b: was evicted (cold); c: was not warm (cold)");
    EXPECT_EQ(outcomes(R"({"action": "unpin", "models": ["a"]})"), "a: is not pinned (warm)");
    EXPECT_EQ(outcomes(R"({"action": "evict", "models": ["a"]})"), "a: was evicted (cold)");
    EXPECT_EQ(done(R"({"action": "status"})").at("total_cache_size_mb").as_double(), 0);
}

TEST_F(CacheManageTest, ABusyModelIsNotCut) {
    TestClient chat(port_);
    chat.send(request_text("POST", "/api/v1/streaming/chat/stream",
                           R"({"model": "a", "messages": [{"role": "user", "content": "pace 300"}]})"));
    while (model("a").at("in_use").as_int64() == 0) std::this_thread::sleep_for(5ms);
    EXPECT_EQ(outcomes(R"({"action": "evict", "models": ["a"]})"),
              "NOT a: 'a' is busy with 1 request; with \"force\" it goes when they have ended (warm)");
    EXPECT_EQ(outcomes(R"({"action": "evict", "models": ["a"], "force": true})"), "a: was evicted (cold)");
    const Response answer = chat.receive();
    EXPECT_TRUE(answer.whole);
    EXPECT_NE(answer.body.find(R"("type": "complete")"), std::string::npos);
}

TEST_F(CacheManageTest, ArtifactsAreTheEnginesBusiness) {
    EXPECT_EQ(outcomes(R"({"action": "save"})"), "") << "nothing is warm";
    EXPECT_EQ(outcomes(R"({"action": "load", "models": ["a"]})"), "a: restored 2 (2 KiB) (warm)")
        << "it is warmed first";
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["full.no_artifacts"]})"),
              "full.no_artifacts: is warm (warm)");
    EXPECT_EQ(outcomes(R"({"action": "save"})"),
              "a: saved 3 (4 KiB) (warm); NOT full.no_artifacts: the disk is full (warm)");
    EXPECT_EQ(outcomes(R"({"action": "prune", "models": ["a", "b"]})"),
              "a: removed 1 (1 KiB) (warm); NOT b: 'b' is not warm (cold)");
    EXPECT_FALSE(done(R"({"action": "save"})").at("success").as_bool());
}

TEST_F(CacheManageTest, AnOrderThatWasCarriedOutInPartIsNoSuccess) {
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["partly.part_artifacts"]})"),
              "partly.part_artifacts: is warm (warm)");
    const json::object answer = done(R"({"action": "save"})");
    EXPECT_FALSE(answer.at("success").as_bool());
    const json::object result = answer.at("results").as_array().at(0).as_object();
    EXPECT_FALSE(result.at("success").as_bool());
    EXPECT_EQ(result.at("message").as_string(), "saved 3 (4 KiB); 2 of 5 artifacts were not written: the disk is full");
    EXPECT_EQ(result.at("saved").as_int64(), 3) << "what was done is told too";
}

TEST_F(CacheManageTest, AFileThatChangedIsSaidAndLoadedAnew) {
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: is warm (warm)");
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: was warm already (warm)");
    fs::copy_file(folder_ / "a.gguf", folder_ / "fresh");
    fs::rename(folder_ / "fresh", folder_ / "a.gguf");
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: is warm, loaded anew (warm)");
    fs::remove(folder_ / "a.gguf");
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: was warm already; its file is gone (warm)");
    EXPECT_EQ(model("a").at("file_note").as_string(), "its file is gone");
}

TEST_F(CacheManageTest, ErrorsHaveTheFamilysShape) {
    const Response response = manage(R"({"action": "explode"})");
    EXPECT_EQ(response.status, 422);
    const json::object error = json::parse(response.body).at("error").as_object();
    EXPECT_EQ(error.at("field").as_string(), "action");
    EXPECT_EQ(manage("{").status, 422);
}

}  // namespace
}  // namespace sutazai::http
