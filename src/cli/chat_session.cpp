#include "cli/chat_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>
#include <variant>

#include "cli/terminal.h"
#include "serve/model_defaults.h"

namespace sutazai::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

using Ending = ChatSession::Ending;

Ending ending_of(int signal) {
    return signal == SIGTERM ? Ending::kTerminated : Ending::kInterrupted;
}

void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace

ChatSession::ChatSession(asio::io_context& io, models::AdvancedModelManager& manager, std::string model,
                         GenerationRequest settings)
    : signals_(io, SIGINT, SIGTERM),
      manager_(manager),
      model_(std::move(model)),
      settings_(std::move(settings)),
      history_(std::get<Chat>(settings_.prompt)) {}

Ending ChatSession::failed(const Error& error) const {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return Ending::kFailed;
}

asio::awaitable<Ending> ChatSession::load() {
    auto outcome = co_await (manager_.warm(model_) || signals_.async_wait(asio::use_awaitable) || draw_progress());
    if (outcome.index() == 1) co_return ending_of(std::get<1>(outcome));
    const auto& loaded = std::get<0>(outcome);
    if (!loaded) co_return failed(loaded.error());
    co_return Ending::kFinished;
}

asio::awaitable<void> ChatSession::draw_progress() {
    ProgressLine line(stderr);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(std::chrono::milliseconds(100));
        co_await timer.async_wait(asio::use_awaitable);
        const auto all = manager_.status();
        const auto status = std::ranges::find(all, model_, &models::ModelStatus::name);
        if (status != all.end() && status->state == models::ModelState::kLoading) {
            line.show("loading " + model_, status->load_progress);
        }
    }
}

asio::awaitable<Ending> ChatSession::ask(std::string prompt) {
    auto acquired = co_await (manager_.acquire(model_) || signals_.async_wait(asio::use_awaitable));
    if (acquired.index() == 1) co_return ending_of(std::get<1>(acquired));
    auto& lease = std::get<0>(acquired);
    if (!lease) co_return failed(lease.error());

    history_.messages.push_back(text_message(Role::kUser, std::move(prompt)));
    GenerationRequest request = settings_;
    request.prompt = history_;
    serve::apply_defaults(lease->profile(), request);
    ipc::TokenStream stream = lease->engine().submit(std::move(request));
    std::string answer;
    std::optional<Ending> ending;
    while (!ending) {
        auto next = co_await (stream.next() || signals_.async_wait(asio::use_awaitable));
        if (next.index() == 1) {
            ending = ending_of(std::get<1>(next));
            break;
        }
        const GenerationUpdate& update = std::get<0>(next);
        write(update.delta.content);
        answer += update.delta.content;
        if (update.finished) ending = Ending::kFinished;
        if (update.error) {
            if (!answer.empty()) write("\n");
            // The model did not take this prompt (it may be too long): the next one starts from what worked.
            history_.messages.pop_back();
            co_return failed(*update.error);
        }
    }
    write("\n");
    history_.messages.push_back(text_message(Role::kAssistant, std::move(answer)));
    co_return *ending;
}

asio::awaitable<Ending> ChatSession::converse() {
    write(fmt::format("{}: ctrl-C stops an answer, /clear forgets the conversation, ctrl-D or /bye leaves.\n", model_));
    LineReader reader(co_await asio::this_coro::executor, STDIN_FILENO);
    for (;;) {
        write(">>> ");
        auto typed = co_await (reader.next() || signals_.async_wait(asio::use_awaitable));
        if (typed.index() == 1) {
            if (std::get<1>(typed) == SIGTERM) co_return Ending::kTerminated;
            write("\n");
            continue;
        }
        const std::optional<std::string>& line = std::get<0>(typed);
        if (!line) {
            write("\n");
            co_return Ending::kFinished;
        }
        if (*line == "/bye") co_return Ending::kFinished;
        if (*line == "/clear") {
            history_ = std::get<Chat>(settings_.prompt);
        } else if (line->find_first_not_of(" \t") != std::string::npos) {
            if (co_await ask(*line) == Ending::kTerminated) co_return Ending::kTerminated;
        }
    }
}

}  // namespace sutazai::cli
