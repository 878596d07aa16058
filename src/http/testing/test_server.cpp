#include "http/testing/test_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "catalog/testing/small_gguf.h"

namespace sutazai::http {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string chat_of(std::string_view command, std::string_view more) {
    return fmt::format(R"({{"model": "m", "messages": [{{"role": "user", "content": "{}"}}]{}}})", command, more);
}

void ServedTest::SetUp() {
    std::string pattern = (fs::temp_directory_path() / "sutazai-http-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    settings_.port = 0;
}

void ServedTest::TearDown() {
    if (thread_.joinable()) {
        EXPECT_EQ(drain(1s).wait_for(5s), std::future_status::ready) << "the server does not drain";
        asio::co_spawn(io_, models_->drain(1s), [this](const std::exception_ptr&) { work_.reset(); });
        thread_.join();
    }
    fs::remove_all(folder_);
}

void ServedTest::add_models(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        std::ofstream(folder_ / (std::string(name) + ".gguf"), std::ios::binary) << catalog::small_gguf();
    }
}

void ServedTest::start() {
    catalog_.emplace(
        catalog::ModelSources{.models_dir = folder_.string(), .model_store = (folder_ / "store").string()});
    models_.emplace(settings_, *catalog_, pool_, SUTAZAI_FAKE_ENGINE, tuning_);
    server_.emplace(io_, settings_, *models_, *catalog_, pool_);
    const auto port = server_->listen();
    ASSERT_TRUE(port) << port.error().message;
    port_ = *port;
    thread_ = std::thread([this] { io_.run(); });
}

std::future<void> ServedTest::drain(std::chrono::milliseconds deadline) {
    auto done = std::make_shared<std::promise<void>>();
    asio::co_spawn(io_, server_->drain(deadline), [done](const std::exception_ptr&) { done->set_value(); });
    return done->get_future();
}

bool ServedTest::becomes_true(std::function<bool()> condition) {
    using Clock = std::chrono::steady_clock;
    for (const auto deadline = Clock::now() + 10s; Clock::now() < deadline; std::this_thread::sleep_for(5ms)) {
        std::promise<bool> answer;
        asio::post(io_, [&] { answer.set_value(condition()); });
        if (answer.get_future().get()) return true;
    }
    return false;
}

Response ServedTest::ask(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view headers) {
    TestClient client(port_);
    client.send(request_text(method, path, body, headers));
    return client.receive(method == "HEAD");
}

}  // namespace sutazai::http
