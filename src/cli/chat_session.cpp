#include "cli/chat_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>
#include <variant>

#include "cli/line_editor.h"
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
                         GenerationRequest settings, Shows shows)
    : signals_(io, SIGINT, SIGTERM),
      manager_(manager),
      model_(std::move(model)),
      settings_(std::move(settings)),
      shows_(std::move(shows)),
      history_(std::get<Chat>(settings_.prompt)) {
    watch_signals();
}

void ChatSession::watch_signals() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
        if (error) return;
        if (signal_ != SIGTERM) signal_ = signal;
        noted_.notify();
        watch_signals();
    });
}

asio::awaitable<void> ChatSession::signalled() {
    while (!signal_) co_await noted_.wait(ipc::Signal::kEver);
}

Ending ChatSession::failed(const Error& error) const {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return Ending::kFailed;
}

asio::awaitable<Ending> ChatSession::load() {
    auto outcome = co_await (manager_.warm(model_) || signalled() || draw_progress());
    if (const auto signal = take_signal()) co_return ending_of(*signal);
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
    Result<ChatMessage> message = message_with_images(std::move(prompt));
    if (!message) co_return failed(message.error());
    auto acquired = co_await (manager_.acquire(model_) || signalled());
    if (const auto signal = take_signal()) co_return ending_of(*signal);
    auto& lease = std::get<0>(acquired);
    if (!lease) co_return failed(lease.error());

    history_.messages.push_back(std::move(*message));
    GenerationRequest request = settings_;
    request.prompt = history_;
    serve::apply_defaults(lease->profile(), request);
    if (!lease->is_remote()) {
        if (auto chosen = serve::choose_adapters(lease->profile(), request); !chosen) co_return failed(chosen.error());
    }
    ipc::TokenStream stream = std::move(lease->generator().submit_all(std::move(request)).front());
    std::string answer;
    std::optional<Ending> ending;
    while (!ending) {
        auto next = co_await (stream.next() || signalled());
        if (const auto signal = take_signal()) {
            ending = ending_of(*signal);
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

void ChatSession::show(const std::string& what) {
    const Chat& chat = std::get<Chat>(settings_.prompt);
    if (what == "system" && !chat.messages.empty()) return write(chat.messages.front().content.front().text + "\n");
    const auto text = shows_(what);
    if (!text) {
        (void)failed(text.error());
        return;
    }
    write(*text);
    if (what == "parameters" && !set_here_.empty()) write("set in this conversation:\n" + set_here_);
}

void ChatSession::obey(const ChatCommand& command) {
    switch (command.kind) {
        case ChatCommand::Kind::kClear: history_ = std::get<Chat>(settings_.prompt); break;
        case ChatCommand::Kind::kHelp: write(chat_help()); break;
        case ChatCommand::Kind::kSetSystem:
            set_system(std::get<Chat>(settings_.prompt), command.value);
            set_system(history_, command.value);
            break;
        case ChatCommand::Kind::kSetParameter:
            if (auto set = set_parameter(settings_, command.name, command.value); !set) {
                (void)failed(set.error());
            } else {
                set_here_ += fmt::format("{} {}\n", command.name, command.value);
            }
            break;
        case ChatCommand::Kind::kShow: show(command.name); break;
        case ChatCommand::Kind::kBye:
        case ChatCommand::Kind::kNone: break;
    }
}

namespace {

/// What a person types, in an editor where the terminal can do it.
class Keyboard {
  public:
    explicit Keyboard(const asio::any_io_executor& executor) : plain_(executor, STDIN_FILENO) {
        if (LineEditor::is_possible()) editor_.emplace(executor);
    }

    asio::awaitable<std::optional<std::string>> next(std::string prompt) {
        if (editor_) return editor_->next(std::move(prompt));
        write(prompt);
        return plain_.next();
    }

  private:
    LineReader plain_;
    std::optional<LineEditor> editor_;
};

}  // namespace

asio::awaitable<Ending> ChatSession::converse() {
    write(fmt::format(
        "{}: ctrl-C stops an answer, /clear forgets the conversation, ctrl-D or /bye leaves, /? has more.\n", model_));
    Keyboard keyboard(co_await asio::this_coro::executor);
    PromptReader prompts;
    for (;;) {
        std::string sign = prompts.is_open() ? "... " : ">>> ";
        auto line = co_await (keyboard.next(std::move(sign)) || signalled());
        if (const auto signal = take_signal()) {
            if (*signal == SIGTERM) co_return Ending::kTerminated;
            prompts.reset();
            write("\n");
            continue;
        }
        if (!std::get<0>(line)) {
            write("\n");
            co_return Ending::kFinished;
        }
        const std::optional<std::string> typed = prompts.add(*std::get<0>(line));
        if (!typed || typed->find_first_not_of(" \t\n") == std::string::npos) continue;
        const Result<ChatCommand> command = parse_chat_command(*typed);
        if (!command) {
            (void)failed(command.error());
        } else if (command->kind == ChatCommand::Kind::kBye) {
            co_return Ending::kFinished;
        } else if (command->kind != ChatCommand::Kind::kNone) {
            obey(*command);
        } else if (co_await ask(*typed) == Ending::kTerminated) {
            co_return Ending::kTerminated;
        }
    }
}

}  // namespace sutazai::cli
