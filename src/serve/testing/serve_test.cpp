#include "serve/testing/serve_test.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <fstream>
#include <map>
#include <utility>

#include "base/thrown.h"
#include "catalog/testing/small_gguf.h"

namespace sutazai::serve::testing_support {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> run_and_drain(std::function<asio::awaitable<void>(Context&)> body, Context& context) {
    co_await body(context);
    co_await context.models.drain(1s);
}

}  // namespace

std::string& TestSink::buffer() {
    touched = true;
    return buffer_;
}

asio::awaitable<Result<void>> TestSink::flush() {
    touched = true;
    if (flushed.size() >= takes) co_return fail(ErrorCode::kCancelled, "gone");
    flushed.push_back(std::exchange(buffer_, {}));
    co_return Result<void>{};
}

asio::awaitable<Result<void>> TestSink::finish() {
    Result<void> sent = co_await flush();
    finished = sent.has_value();
    co_return sent;
}

std::string TestSink::text() const {
    std::string all;
    for (const std::string& part : flushed) all += part;
    return all;
}

GenerationRequest prompt(std::string command) {
    GenerationRequest request;
    request.prompt = std::move(command);
    return request;
}

GenerationRequest chat(std::string command) {
    GenerationRequest request;
    Chat chat;
    chat.messages.push_back(text_message(Role::kUser, std::move(command)));
    request.prompt = std::move(chat);
    return request;
}

void ServeTest::SetUp() {
    std::string pattern = (fs::temp_directory_path() / "sutazai-serve-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(folder_ / "m.gguf", std::ios::binary) << catalog::small_gguf();
}

void ServeTest::TearDown() {
    fs::remove_all(folder_);
}

void ServeTest::run(Body body) {
    asio::io_context io;
    catalog::Catalog catalog(std::map<std::string, std::string>{}, folder_.string(), {});
    BlockingPool pool;
    models::AdvancedModelManager models(settings_, catalog, pool, SUTAZAI_FAKE_ENGINE);
    Context context{settings_, models, catalog, pool};
    asio::co_spawn(io, run_and_drain(std::move(body), context), [](const std::exception_ptr& thrown) {
        if (thrown) ADD_FAILURE() << text_of(thrown);
    });
    io.run_for(60s);
    EXPECT_TRUE(io.stopped()) << "something never ended";
}

asio::awaitable<bool> all_requests_end(Context& context) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (int i = 0; i < 2000 && context.models.open_requests() > 0; ++i) {
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return context.models.open_requests() == 0;
}

}  // namespace sutazai::serve::testing_support
