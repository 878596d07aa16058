#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "models/model_manager.h"

/// A conversation with one model in this terminal.
namespace sutazai::cli {

/// Answers go to standard output as they come, all else to standard error. From its construction on, SIGINT and SIGTERM
/// end what is under way rather than the process. Lives on the thread that runs `io`.
class ChatSession {
  public:
    enum class Ending : std::uint8_t { kFinished, kInterrupted, kTerminated, kFailed };

    /// `manager` outlives the session. `settings` is what every request of the session has in common: its prompt holds
    /// the messages that come first (a system message, or none).
    ChatSession(boost::asio::io_context& io, models::AdvancedModelManager& manager, std::string model,
                GenerationRequest settings);

    /// Loads the model, with a progress line if standard error is a terminal.
    [[nodiscard]] boost::asio::awaitable<Ending> load();

    /// Sends `prompt` and writes the answer, which joins the history: what there is of it when it was interrupted.
    [[nodiscard]] boost::asio::awaitable<Ending> ask(std::string prompt);

    /// Reads prompts from the terminal until its end, or /bye.
    [[nodiscard]] boost::asio::awaitable<Ending> converse();

  private:
    [[nodiscard]] boost::asio::awaitable<void> draw_progress();
    [[nodiscard]] Ending failed(const Error& error) const;

    boost::asio::signal_set signals_;
    models::AdvancedModelManager& manager_;
    std::string model_;
    GenerationRequest settings_;
    Chat history_;
};

}  // namespace sutazai::cli
