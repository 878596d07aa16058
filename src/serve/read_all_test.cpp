#include "serve/read_all.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "serve/testing/hand_engine.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using testing_support::HandEngine;
using testing_support::requests;
using testing_support::run;

/// Writes down what it is told.
class Diary final : public Listener {
  public:
    Error explain(Error error, std::size_t index) override {
        error.field = std::to_string(index);
        return error;
    }
    asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool last) override {
        for (const auto& [index, update] : events) {
            told += std::to_string(index) + update.delta.content;
            if (update.error) told += "!" + update.error->field;
            told += " ";
        }
        if (last) told += "last";
        if (--patience == 0) co_return fail(ErrorCode::kCancelled, "enough");
        co_return Result<void>{};
    }
    std::string told;
    int patience = -1;
};

asio::awaitable<void> read_two(RequestBook& book, HandEngine& engine, Diary& diary, Result<void>& done) {
    Generations generations(engine, requests(2), 1);
    engine.channels.at(0)->add("a", 1);
    engine.channels.at(0)->fail({ErrorCode::kInternal, "no"});
    co_await generations.ready();  // the next one is submitted when the first has ended
    asio::post(co_await asio::this_coro::executor, [&] { engine.channels.at(1)->finish({}); });
    OpenRequest open(book, {}, "m", {}, 2);
    open.listen_to(generations);
    done = co_await read_all(generations, diary, open);
}

TEST(ReadAll, TellsOfEverythingWithErrorsExplained) {
    asio::io_context io;
    const config::Settings settings;
    RequestBook book(settings);
    HandEngine engine;
    Diary diary;
    Result<void> done;
    run(io, read_two(book, engine, diary, done));
    EXPECT_TRUE(done) << "an error of one generation ends nothing by itself";
    EXPECT_EQ(diary.told, "0a!0 1 last");
}

asio::awaitable<void> read_until_enough(RequestBook& book, HandEngine& engine, Diary& diary, Result<void>& done) {
    Generations generations(engine, requests(2), 2);
    engine.channels.at(0)->add("a", 1);
    OpenRequest open(book, {}, "m", {}, 2);
    open.listen_to(generations);
    done = co_await read_all(generations, diary, open);
}

TEST(ReadAll, EndsWhenTheListenerHasEnough) {
    asio::io_context io;
    const config::Settings settings;
    RequestBook book(settings);
    HandEngine engine;
    Diary diary;
    diary.patience = 1;
    Result<void> done;
    run(io, read_until_enough(book, engine, diary, done));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "enough");
    EXPECT_EQ(diary.told, "0a ");
    EXPECT_EQ(engine.cancelled.size(), 2U) << "what runs goes with the generations";
}

asio::awaitable<void> read_none(RequestBook& book, HandEngine& engine, Diary& diary, Result<void>& done) {
    Generations generations(engine, {}, 2);
    OpenRequest open(book, {}, "m", {}, 2);
    open.listen_to(generations);
    done = co_await read_all(generations, diary, open);
}

TEST(ReadAll, OfNothingTellsNothing) {
    asio::io_context io;
    const config::Settings settings;
    RequestBook book(settings);
    HandEngine engine;
    Diary diary;
    Result<void> done;
    run(io, read_none(book, engine, diary, done));
    EXPECT_TRUE(done);
    EXPECT_EQ(diary.told, "");
}

}  // namespace
}  // namespace sutazai::serve
