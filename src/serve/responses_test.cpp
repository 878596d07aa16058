#include "serve/responses.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "base/testing/temporary_folder.h"
#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace std::chrono_literals;
using testing_support::TestSink;

const Caller kOne{.tenant = "one"};
const Caller kOther{.tenant = "other"};

ResponseRequest asked(std::string_view command, std::string_view more = "") {
    auto request = parse_response(fmt::format(R"({{"model":"m","input":"{}"{}}})", command, more));
    EXPECT_TRUE(request) << (request ? "" : request.error().message);
    return std::move(*request);
}

std::string status_of(const Result<std::string>& object) {
    return object ? std::string(json::parse(*object).at("status").as_string()) : object.error().message;
}
std::string id_of(const std::string& object) {
    return std::string(json::parse(object).at("id").as_string());
}

asio::awaitable<void> pause(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

class ResponsesTest : public testing_support::ServeTest {
  protected:
    void SetUp() override {
        ServeTest::SetUp();
        settings_.home = home_.path() / "home";
    }

    using Work = std::function<asio::awaitable<void>(Responses&)>;
    /// With a server of its own, which ends as one does that is told to.
    void serve(Work work) {
        run([this, work = std::move(work)](Context& context) { return served(context, work); });
    }

    TemporaryFolder home_;

  private:
    static asio::awaitable<void> served(Context& context, Work work) {
        const auto executor = co_await asio::this_coro::executor;
        const auto responses = std::make_shared<Responses>(context, executor);
        responses->begin();
        co_await work(*responses);
        responses->drain();
        co_await responses->stop();
    }
};

asio::awaitable<void> wait_for(Responses& responses, std::string id, std::string status) {
    std::string is;
    for (int i = 0; i < 1000 && is != status; ++i) {
        co_await pause(10ms);
        const Result<std::string> object = co_await responses.find(kOne, id);
        is = status_of(object);
    }
    EXPECT_EQ(is, status);
}

asio::awaitable<void> nothing(Responses& /*responses*/) {
    co_return;
}

TEST_F(ResponsesTest, EndsAtOnceWhenItHasJustBegun) {
    const auto begin = std::chrono::steady_clock::now();
    serve(nothing);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 8s);
}

asio::awaitable<void> one_of_each(Responses& responses) {
    ResponseRequest request = asked("count 3");
    const std::string id = request.id;
    const Result<std::string> made = co_await responses.create(kOne, std::move(request));
    EXPECT_EQ(status_of(made), "incomplete") << "as the fake engine ends";
    const Result<std::string> found = co_await responses.find(kOne, id);
    EXPECT_EQ(found.value_or(""), made.value_or("none"));
    const Result<std::string> hidden = co_await responses.find(kOther, id);
    EXPECT_EQ(hidden.error().code, ErrorCode::kNotFound);

    TestSink sink;
    ResponseRequest asked_1 = asked("count 3", fmt::format(R"(,"previous_response_id":"{}")", id));
    const Result<void> told = co_await responses.stream(kOne, std::move(asked_1), sink);
    EXPECT_TRUE(told && sink.finished);
    EXPECT_TRUE(sink.text().contains("event: response.incomplete")) << sink.text();
    api::responses::ItemPage page;
    const Result<std::string> listed = co_await responses.list_input(kOne, id, std::move(page));
    EXPECT_TRUE(listed && listed->contains("count 3"));
    const Result<std::string> removed = co_await responses.remove(kOther, id);
    EXPECT_FALSE(removed);
    const Result<std::string> gone = co_await responses.remove(kOne, id);
    EXPECT_TRUE(gone);
}

TEST_F(ResponsesTest, WhatIsMadeIsFoundByWhoAskedForIt) {
    serve(one_of_each);
}

/// Looks, when it is told the last event, whether the response can be found already.
class LookingSink final : public EventSink {
  public:
    LookingSink(Responses& responses, std::string id) : responses_(responses), id_(std::move(id)) {}
    std::string& buffer() override { return buffer_; }
    asio::awaitable<Result<void>> flush() override { co_return Result<void>{}; }
    asio::awaitable<Result<void>> finish() override {
        const Result<std::string> object = co_await responses_.find(kOne, id_);
        status = status_of(object);
        co_return Result<void>{};
    }
    std::string status;

  private:
    Responses& responses_;
    std::string id_;
    std::string buffer_;
};

asio::awaitable<void> stored_in_time(Responses& responses) {
    ResponseRequest request = asked("pace 3");
    LookingSink sink(responses, request.id);
    const Result<void> told = co_await responses.stream(kOne, std::move(request), sink);
    EXPECT_TRUE(told);
    EXPECT_EQ(sink.status, "incomplete");
}

TEST_F(ResponsesTest, AStreamIsStoredBeforeItsEndIsTold) {
    serve(stored_in_time);
}

asio::awaitable<void> has_flushed(const TestSink& sink) {
    for (int i = 0; i < 1000 && sink.flushed.size() < 2; ++i) co_await pause(10ms);
}

asio::awaitable<void> left_alone(Responses& responses) {
    using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace): operator||
    ResponseRequest request = asked("pace 100000");
    const std::string id = request.id;
    TestSink sink;
    co_await (responses.stream(kOne, std::move(request), sink) || has_flushed(sink));
    EXPECT_GE(sink.flushed.size(), 2U);
    co_await wait_for(responses, id, "cancelled");
}

TEST_F(ResponsesTest, AStreamThatNobodyTakesIsCancelled) {
    serve(left_alone);
}

TEST_F(ResponsesTest, AStoreThatCannotBeOpenedIsToldToWhoAsksForIt) {
    std::filesystem::create_directories(settings_.home);
    std::ofstream(std::filesystem::path(settings_.home) / "responses.sqlite") << std::string(8192, 'x');
    serve([](Responses& responses) -> asio::awaitable<void> {
        ResponseRequest asked_2 = asked("count 3");
        const Result<std::string> plain = co_await responses.create(kOne, std::move(asked_2));
        EXPECT_TRUE(plain && plain->contains(R"("store":false)"));
        ResponseRequest asked_3 = asked("count 3", R"(,"store":true)");
        const Result<std::string> stored = co_await responses.create(kOne, std::move(asked_3));
        EXPECT_EQ(stored.error().code, ErrorCode::kUnavailable);
        ResponseRequest asked_4 = asked("count 3", R"(,"background":true)");
        const Result<std::string> behind = co_await responses.create(kOne, std::move(asked_4));
        EXPECT_EQ(behind.error().code, ErrorCode::kUnavailable);
    });
}

TEST_F(ResponsesTest, KeysTakeTurnsInTheBackground) {
    settings_.batch_size = 1;
    serve([](Responses& responses) -> asio::awaitable<void> {
        std::vector<std::string> ids;
        for (int i = 0; i < 3; ++i) {
            ResponseRequest asked_5 = asked("pace 100000", R"(,"background":true)");
            const Result<std::string> queued = co_await responses.create(kOne, std::move(asked_5));
            ids.push_back(id_of(queued.value()));
        }
        ResponseRequest asked_6 = asked("count 3", R"(,"background":true)");
        const Result<std::string> of_other = co_await responses.create(kOther, std::move(asked_6));
        co_await wait_for(responses, ids.at(0), "in_progress");
        const Result<std::string> ended = co_await responses.cancel(kOne, ids.at(0));
        EXPECT_EQ(status_of(ended), "cancelled");
        co_await wait_for(responses, ids.at(1), "in_progress");
        const Result<std::string> second = co_await responses.cancel(kOne, ids.at(1));
        EXPECT_EQ(status_of(second), "cancelled");
        const Result<std::string> stranger = co_await responses.cancel(kOther, ids.at(2));
        EXPECT_EQ(stranger.error().code, ErrorCode::kNotFound);
        const Result<std::string> third = co_await responses.cancel(kOne, ids.at(2));
        EXPECT_EQ(status_of(third), "cancelled");
        co_await pause(200ms);
        const Result<std::string> other = co_await responses.find(kOther, id_of(of_other.value()));
        EXPECT_EQ(status_of(other), "incomplete");
    });
}

TEST_F(ResponsesTest, WhatRunsInTheBackgroundGoesOnWithTheNextServer) {
    std::string id;
    serve([&id](Responses& responses) -> asio::awaitable<void> {
        ResponseRequest asked_7 = asked("pace 100000", R"(,"background":true,"stream":true)");
        const Result<std::string> queued = co_await responses.create(kOne, std::move(asked_7));
        id = id_of(queued.value());
        co_await wait_for(responses, id, "in_progress");
    });
    for (int i = 0; i < 4; ++i) {
        serve([&id](Responses& responses) { return wait_for(responses, id, "in_progress"); });
    }
    // It has had its tries.
    serve([&id](Responses& responses) { return wait_for(responses, id, "failed"); });
}

}  // namespace
}  // namespace sutazai::serve
