#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/generation.h"
#include "cli/chat_line.h"
#include "ipc/signal.h"
#include "models/model_manager.h"

/// A conversation with one model in this terminal.
namespace sutazai::cli {

/// Answers go to standard output as they come, all else to standard error. From its construction on, SIGINT and SIGTERM
/// end what is under way rather than the process. Lives on the thread that runs `io`.
class ChatSession {
  public:
    enum class Ending : std::uint8_t { kFinished, kInterrupted, kTerminated, kFailed };

    /// What "/show info" and so on print.
    using Shows = std::function<Result<std::string>(std::string_view what)>;

    /// `manager` outlives the session. `settings` is what every request of the session has in common: its prompt holds
    /// the messages that come first (a system message, or none).
    ChatSession(boost::asio::io_context& io, models::AdvancedModelManager& manager, std::string model,
                GenerationRequest settings, Shows shows);

    /// Loads the model, with a progress line if standard error is a terminal.
    [[nodiscard]] boost::asio::awaitable<Ending> load();

    /// Sends `prompt` and writes the answer, which joins the history: what there is of it when it was interrupted.
    /// Files that it names as images (chat_line.h) are sent with it.
    [[nodiscard]] boost::asio::awaitable<Ending> ask(std::string prompt);

    /// Reads prompts and commands (chat_line.h) from the terminal until its end, or /bye.
    [[nodiscard]] boost::asio::awaitable<Ending> converse();

  private:
    [[nodiscard]] boost::asio::awaitable<void> draw_progress();
    [[nodiscard]] Ending failed(const Error& error) const;
    void obey(const ChatCommand& command);
    void show(const std::string& what);

    /// Notes SIGINT and SIGTERM from now on.
    void watch_signals();
    /// Returns when a signal has been noted and not been taken. Two operations of an `||` may both end at once: which
    /// signal it was is asked of take_signal(), so that none is lost when the other one is the first.
    [[nodiscard]] boost::asio::awaitable<void> signalled();
    [[nodiscard]] std::optional<int> take_signal() { return std::exchange(signal_, std::nullopt); }

    boost::asio::signal_set signals_;
    std::optional<int> signal_;
    ipc::Signal noted_;
    models::AdvancedModelManager& manager_;
    std::string model_;
    GenerationRequest settings_;
    Shows shows_;
    std::string set_here_;  // parameters, a line each
    Chat history_;
};

}  // namespace sutazai::cli
