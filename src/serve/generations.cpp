#include "serve/generations.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <iterator>
#include <map>
#include <utility>

#include "ipc/signal.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

/// Of one generation's text.
constexpr std::size_t kMostUnreadBytes = 64 << 10;

}  // namespace

/// One generation is read directly. Of several each has a reader, a coroutine that puts what comes into `events`.
struct Generations::State : std::enable_shared_from_this<State> {
    ipc::Generator* engine = nullptr;
    std::vector<GenerationRequest> requests;
    std::size_t n_requests_submitted = 0;
    std::size_t width = 1;
    std::size_t n_generations = 0;  ///< of all requests
    std::size_t n_submitted = 0;
    std::map<std::size_t, ipc::TokenStream> running;
    std::vector<Event> events;
    std::map<std::size_t, std::size_t> event_of;  ///< where in `events` an index's is
    ipc::Signal changed;
    ipc::Signal taken;  ///< events
    std::function<void(std::size_t, const PromptProgress&)> on_prompt;
    bool closed = false;
    bool started = false;

    [[nodiscard]] bool alone() const { return n_generations == 1; }
    [[nodiscard]] bool all_ended() const { return n_submitted == n_generations && running.empty(); }

    void submit_more() {
        while (n_requests_submitted < requests.size() && running.size() < width) {
            for (ipc::TokenStream& stream : engine->submit_all(std::move(requests[n_requests_submitted++]))) {
                listen(n_submitted, stream);
                running.emplace(n_submitted++, std::move(stream));
            }
        }
    }

    /// The stream lives no longer than this.
    void listen(std::size_t index, ipc::TokenStream& stream) {
        if (!on_prompt) return;
        stream.on_prompt([this, index](const PromptProgress& progress) { on_prompt(index, progress); });
    }

    void put(std::size_t index, GenerationUpdate update) {
        const auto [place, is_new] = event_of.try_emplace(index, events.size());
        if (is_new) {
            events.push_back({index, std::move(update)});
        } else {
            GenerationUpdate& all = events[place->second].update;
            all.delta.append(std::move(update.delta));
            all.n_tokens += update.n_tokens;
            all.scores.insert(all.scores.end(), std::make_move_iterator(update.scores.begin()),
                              std::make_move_iterator(update.scores.end()));
            if (!update.embedding.empty()) all.embedding = std::move(update.embedding);
            all.finished = update.finished;
            all.error = std::move(update.error);
        }
        changed.notify();
    }

    /// A reader has died, for want of memory most likely: whoever waits must hear of it, for each generation that has
    /// not ended.
    void fail_rest() {
        spdlog::error("the reading of generations failed");
        closed = true;  // to the other readers
        const auto fail = [this](std::size_t index) {
            GenerationUpdate update;
            update.error = Error{ErrorCode::kInternal, "The server failed to read the generation."};
            put(index, std::move(update));
        };
        for (const auto& [index, stream] : running) fail(index);
        while (n_submitted < n_generations) fail(n_submitted++);
        n_requests_submitted = requests.size();
        running.clear();
    }

    /// A reader that goes on while nobody takes what it has read would fill the memory.
    [[nodiscard]] bool holds_much(std::size_t index) const {
        const auto place = event_of.find(index);
        return !closed && place != event_of.end() && events[place->second].update.delta.text_bytes() > kMostUnreadBytes;
    }

    static asio::awaitable<void> read(std::shared_ptr<State> state, std::size_t index) {
        for (bool last = false; !last;) {
            GenerationUpdate update;
            try {
                update = co_await state->running.at(index).next();
            } catch (const std::exception& error) {
                if (state->closed) co_return;  // nobody reads any more
                spdlog::error("a generation could not be read: {}", error.what());
                update.error = Error{ErrorCode::kInternal, "The server failed to read the generation."};
            }
            if (state->closed) co_return;
            last = update.last();
            if (last) state->running.erase(index);
            state->put(index, std::move(update));
            while (!last && state->holds_much(index)) co_await state->taken.wait(ipc::Signal::kEver);
        }
        start_readers(state, co_await asio::this_coro::executor);
    }

    static void start_readers(const std::shared_ptr<State>& state, const asio::any_io_executor& executor) {
        const std::size_t first = state->started ? state->n_submitted : 0;
        state->started = true;
        state->submit_more();
        const std::size_t end = state->n_submitted;
        for (std::size_t index = first; index < end; ++index) {
            asio::co_spawn(executor, read(state, index), [state](const std::exception_ptr& thrown) {
                if (thrown) state->fail_rest();
            });
        }
    }
};

std::size_t Generations::count(std::span<const GenerationRequest> requests) {
    std::size_t n = 0;
    for (const GenerationRequest& request : requests) n += static_cast<std::size_t>(request.n);
    return n;
}

Generations::Generations(ipc::Generator& engine, std::vector<GenerationRequest> requests, std::size_t width)
    : state_(std::make_shared<State>()) {
    state_->engine = &engine;
    state_->requests = std::move(requests);
    state_->width = std::max<std::size_t>(width, 1);
    state_->n_generations = count(state_->requests);
    state_->submit_more();
}

void Generations::on_prompt(std::function<void(std::size_t, const PromptProgress&)> listener) {
    state_->on_prompt = std::move(listener);
    for (auto& [index, stream] : state_->running) state_->listen(index, stream);
}

Generations::~Generations() {
    state_->closed = true;
    state_->running.clear();
    state_->taken.notify();
}

asio::awaitable<void> Generations::ready() {
    const auto state = state_;
    if (state->alone()) {
        if (!state->running.empty()) co_await state->running.begin()->second.ready();
        co_return;
    }
    if (!state->started) State::start_readers(state, co_await asio::this_coro::executor);
    while (state->events.empty() && !state->all_ended()) co_await state->changed.wait(ipc::Signal::kEver);
}

bool Generations::has_events() const {
    if (state_->alone()) return state_->running.empty() || state_->running.begin()->second.has_update();
    return !state_->events.empty() || state_->all_ended();
}

bool Generations::ended() const {
    return state_->all_ended() && state_->events.empty();
}

asio::awaitable<std::vector<Generations::Event>> Generations::next() {
    const auto state = state_;
    std::vector<Event> events;
    if (state->alone()) {
        if (state->running.empty()) co_return events;
        GenerationUpdate update = co_await state->running.begin()->second.next();
        if (update.last()) state->running.clear();
        events.push_back({0, std::move(update)});
        co_return events;
    }
    co_await ready();
    events.swap(state->events);
    state->event_of.clear();
    state->taken.notify();
    co_return events;
}

}  // namespace sutazai::serve
