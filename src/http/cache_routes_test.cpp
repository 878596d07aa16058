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

#include "http/server.h"
#include "http/test_client.h"

namespace sutazai::http {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::string_view kManage = "/api/v1/streaming/cache/manage";

/// The smallest file that passes for a model: one tensor of four floats.
std::string small_gguf() {
    std::string out;
    const auto put = [&](std::uint64_t value, int n_bytes) {
        for (int i = 0; i < n_bytes; ++i) out += static_cast<char>(value >> 8 * i);
    };
    const auto text = [&](std::string_view value) {
        put(value.size(), 8);
        out += value;
    };
    out += "GGUF";
    put(3, 4);
    put(1, 8);
    put(1, 8);
    text("general.architecture");
    put(8, 4);
    text("llama");
    text("w");
    put(1, 4);
    put(4, 8);
    put(0, 4);
    put(0, 8);
    out.resize((out.size() + 31) / 32 * 32 + 16);
    return out;
}

/// The real server over fake engines; two places.
class CacheManageTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "sutazai-cache-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        for (const char* name : {"a", "b", "c", "bad.fail_load", "full.no_artifacts"}) {
            std::ofstream(folder_ / (std::string(name) + ".gguf"), std::ios::binary) << small_gguf();
        }
        settings_.port = 0;
        settings_.model_cache_size = 2;
        models::Tuning tuning;
        tuning.placement.restore_factor = 1e9;
        catalog_.emplace(std::map<std::string, std::string>{}, folder_.string(), std::map<std::string, std::string>{});
        models_.emplace(settings_, *catalog_, SUTAZAI_FAKE_ENGINE, tuning);
        server_.emplace(io_, settings_, *models_, *catalog_);
        const auto port = server_->listen();
        ASSERT_TRUE(port) << port.error().message;
        port_ = *port;
        thread_ = std::thread([this] { io_.run(); });
    }

    void TearDown() override {
        std::promise<void> drained;
        asio::co_spawn(io_, server_->drain(1s), [&](const std::exception_ptr&) { drained.set_value(); });
        drained.get_future().wait();
        asio::co_spawn(io_, models_->drain(1s), [this](const std::exception_ptr&) { work_.reset(); });
        thread_.join();
        fs::remove_all(folder_);
    }

    Response manage(std::string_view body) {
        TestClient client(port_);
        client.send(request_text("POST", kManage, body));
        return client.receive();
    }
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

    fs::path folder_;
    config::Settings settings_;
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::optional<catalog::Catalog> catalog_;
    std::optional<models::AdvancedModelManager> models_;
    std::optional<Server> server_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

TEST_F(CacheManageTest, WarmsWhatItCanAndSaysWhatItCannot) {
    const std::string got =
        outcomes(R"({"action": "warmup", "models": ["a", "bad.fail_load", "nobody", "b", "c", "a"]})");
    const std::string expected =
        "a: is warm (warm); "
        "NOT bad.fail_load: 'bad.fail_load' could not be loaded: the file has no tensors (failed); "
        "NOT nobody: there is no model \"nobody\"; this server has: a, b, bad.fail_load, c, full.no_artifacts (cold); "
        "b: is warm (warm); "
        "NOT c: 'c' needs a place and ";
    EXPECT_EQ(got.substr(0, expected.size()), expected);
    EXPECT_NE(got.find("the pinned models leave 0 of 2 places"), std::string::npos) << got;
}

TEST_F(CacheManageTest, StatusTellsOfEachModel) {
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: is warm (warm)");
    EXPECT_EQ(outcomes(R"({"action": "warmup", "models": ["a"]})"), "a: was warm already (warm)");
    const json::object status = done(R"({"action": "status"})");
    EXPECT_EQ(status.at("total_models").as_int64(), 5);
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
              "b, bad.fail_load, c, full.no_artifacts (cold)");
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

TEST_F(CacheManageTest, ErrorsHaveTheFamilysShape) {
    const Response response = manage(R"({"action": "explode"})");
    EXPECT_EQ(response.status, 422);
    const json::object error = json::parse(response.body).at("error").as_object();
    EXPECT_EQ(error.at("field").as_string(), "action");
    EXPECT_EQ(manage("{").status, 422);
}

}  // namespace
}  // namespace sutazai::http
