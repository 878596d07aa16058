#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "http/server.h"
#include "http/testing/test_client.h"

/// What the tests of routes share; for tests only.
namespace sutazai::http {

inline constexpr std::string_view kStream = "/api/v1/streaming/chat/stream";
inline constexpr std::string_view kBatch = "/api/v1/streaming/batch/process";
inline constexpr std::string_view kCompletions = "/v1/chat/completions";

/// A chat with the model "m". The content of its message is a command to the fake engine: "count 5" gives the text
/// " t0 t1 t2 t3 t4".
[[nodiscard]] std::string chat_of(std::string_view command, std::string_view more = "");

/// The real server and model manager with a fake engine, on a thread of their own. A test names its models (their names
/// say how the fake engine behaves), changes settings_ and tuning_ and starts it.
class ServedTest : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    void add_models(std::initializer_list<std::string_view> names);
    void start();
    std::future<void> drain(std::chrono::milliseconds deadline);

    /// Asked on the server's thread, until it is so or ten seconds have passed.
    bool becomes_true(std::function<bool()> condition);
    bool all_requests_end() {
        return becomes_true([this] { return models_->open_requests() == 0; });
    }

    Response ask(std::string_view method, std::string_view path, std::string_view body = {},
                 std::string_view headers = {});

    std::filesystem::path folder_;
    config::Settings settings_;
    models::Tuning tuning_;
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
    BlockingPool pool_;
    std::optional<catalog::Catalog> catalog_;
    std::optional<models::AdvancedModelManager> models_;
    std::optional<Server> server_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

}  // namespace sutazai::http
