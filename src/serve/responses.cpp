#include "serve/responses.h"

#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <iterator>
#include <utility>
#include <vector>

#include "base/thrown.h"
#include "serve/reading.h"
#include "serve/response_answer.h"

namespace sutazai::serve {

namespace asio = boost::asio;
using api::responses::Item;
using responses::Record;
using responses::ResponseStore;

namespace {

constexpr std::chrono::minutes kBetweenExpiries{10};
/// A disk that hangs does not hold up the end.
constexpr std::chrono::seconds kLongestEnd{10};
constexpr std::uint64_t kMostListedBytes = 64 << 20;

Error none_of_that_name() {
    return {ErrorCode::kNotFound, "There is no response with this id."};
}

}  // namespace

Responses::Responses(Context& context, asio::any_io_executor executor)
    : context_(context),
      executor_(std::move(executor)),
      records_(context.settings),
      background_(context, records_, executor_) {}

asio::awaitable<Result<std::string>> Responses::create(Caller caller, ResponseRequest request) {
    auto ready = co_await converse(records_, caller.tenant, std::move(request));
    if (!ready) co_return std::unexpected(std::move(ready.error()));
    if (ready->asked.background) co_return co_await background_.start(std::move(caller), std::move(*ready));
    co_return co_await whole_response(context_, records_, std::move(caller), std::move(*ready));
}

asio::awaitable<Result<void>> Responses::stream(Caller caller, ResponseRequest request, EventSink& sink) {
    auto ready = co_await converse(records_, caller.tenant, std::move(request));
    if (!ready) co_return std::unexpected(std::move(ready.error()));
    if (!ready->asked.background) {
        co_return co_await stream_response(context_, records_, std::move(caller), std::move(*ready), sink);
    }
    std::string id = ready->id;
    const auto started = co_await background_.start(caller, std::move(*ready));
    if (!started) co_return std::unexpected(started.error());
    co_return co_await background_.watch(std::move(caller), std::move(id), 0, sink);
}

asio::awaitable<Result<void>> Responses::watch(Caller caller, std::string id, std::uint64_t first, EventSink& sink) {
    return background_.watch(std::move(caller), std::move(id), first, sink);
}

asio::awaitable<Result<Record>> Responses::record(Caller caller, std::string id) {
    if (!records_.keeps()) co_return std::unexpected(none_of_that_name());
    auto work = [tenant = std::move(caller.tenant), id = std::move(id)](ResponseStore& store, std::int64_t now) {
        return store.find(tenant, id, now);
    };
    auto found = co_await records_.run(work);
    if (!found) co_return std::unexpected(std::move(found.error()));
    if (!*found) co_return std::unexpected(none_of_that_name());
    co_return std::move(**found);
}

asio::awaitable<Result<std::string>> Responses::find(Caller caller, std::string id) {
    auto found = co_await record(std::move(caller), std::move(id));
    if (!found) co_return std::unexpected(std::move(found.error()));
    co_return std::move(found->body);
}

asio::awaitable<Result<std::string>> Responses::remove(Caller caller, std::string id) {
    if (!records_.keeps()) co_return std::unexpected(none_of_that_name());
    co_await background_.cancel(caller, id);
    auto work = [tenant = std::move(caller.tenant), id](ResponseStore& store, std::int64_t now) {
        return store.remove(tenant, id, now);
    };
    const auto removed = co_await records_.run(work);
    if (!removed) co_return std::unexpected(removed.error());
    if (!*removed) co_return std::unexpected(none_of_that_name());
    co_return api::responses::encode_deleted(id);
}

asio::awaitable<Result<std::string>> Responses::cancel(Caller caller, std::string id) {
    co_await background_.cancel(caller, id);
    auto found = co_await record(std::move(caller), std::move(id));
    if (!found) co_return std::unexpected(std::move(found.error()));
    if (!found->background) {
        co_return fail(ErrorCode::kInvalidArgument,
                       "Only a response that was asked for with background can be cancelled; who waits for another "
                       "one closes the connection.");
    }
    co_return std::move(found->body);
}

asio::awaitable<Result<std::string>> Responses::list_input(Caller caller, std::string id,
                                                           api::responses::ItemPage page) {
    if (!records_.keeps()) co_return std::unexpected(none_of_that_name());
    auto work = [tenant = std::move(caller.tenant), id = std::move(id), page = std::move(page)](
                    ResponseStore& store, std::int64_t now) -> Result<std::string> {
        const auto record = store.find(tenant, id, now);
        if (!record) return std::unexpected(record.error());
        if (!*record) return std::unexpected(none_of_that_name());
        std::vector<Item> items;
        if (!(*record)->previous.empty()) {
            const auto chain = store.chain(tenant, (*record)->previous, kMostListedBytes, now);
            for (const Record& earlier : chain.value_or(std::vector<Record>{})) {
                auto more = items_of(earlier, true);
                if (!more) return std::unexpected(std::move(more.error()));
                std::ranges::move(*more, std::back_inserter(items));
            }
        }
        auto own = items_of(**record, false);
        if (!own) return std::unexpected(std::move(own.error()));
        std::ranges::move(*own, std::back_inserter(items));
        return api::responses::encode_items(items, page);
    };
    co_return co_await records_.run(work);
}

asio::awaitable<Result<std::string>> Responses::count_input(Caller caller, ResponseRequest request) {
    auto ready = co_await converse(records_, caller.tenant, std::move(request));
    if (!ready) co_return std::unexpected(std::move(ready.error()));
    GenerationRequest& generation = ready->asked.generation;
    generation.task = Task::kRead;
    const auto reading =
        co_await read_prompt(context_, std::move(caller), std::move(ready->asked.model), std::move(generation));
    if (!reading) co_return std::unexpected(reading.error());
    co_return api::responses::encode_count(reading->n_tokens);
}

void Responses::begin() {
    if (context_.settings.home.empty()) return;
    if (records_.keeps()) spawn(background_.resume());
    spawn(expire());
}

void Responses::spawn(asio::awaitable<void> work) {
    ++n_coroutines_;
    asio::co_spawn(executor_, std::move(work), [this](const std::exception_ptr& thrown) {
        if (thrown) spdlog::error("responses: {}", text_of(thrown));
        --n_coroutines_;
        ended_.notify();
    });
}

asio::awaitable<void> Responses::expire() {
    while (!draining_) {
        auto work = [](ResponseStore& store, std::int64_t now) { return store.expire(now); };
        if (const auto expired = co_await records_.run(work); !expired) records_.complain(expired.error());
        if (draining_) co_return;  // since the loop began
        co_await ending_.wait(std::chrono::steady_clock::now() + kBetweenExpiries);
    }
}

void Responses::drain() {
    draining_ = true;
    ending_.notify();
    background_.drain();
}

asio::awaitable<void> Responses::stop() {
    co_await background_.stop();
    const auto deadline = std::chrono::steady_clock::now() + kLongestEnd;
    while (n_coroutines_ > 0 && std::chrono::steady_clock::now() < deadline) co_await ended_.wait(deadline);
}

}  // namespace sutazai::serve
