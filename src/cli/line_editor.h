#pragma once

#include <histedit.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

namespace sutazai::cli {

/// Lines that can be edited while they are typed, with those before at the arrow keys: libedit. What was typed is kept
/// in memory only. The terminal has its usual mode whenever no line is being read. One call of next() at a time.
class LineEditor {
  public:
    /// Of standard input and output.
    explicit LineEditor(const boost::asio::any_io_executor& executor);

    /// Whether this terminal can do what an editor needs.
    [[nodiscard]] static bool is_possible();

    /// Draws `prompt`. The next line without its end, or nullopt at ctrl-D or when the terminal goes. Cancelling the
    /// awaiting coroutine drops what was typed.
    [[nodiscard]] boost::asio::awaitable<std::optional<std::string>> next(std::string prompt);

  private:
    struct EndEditor {
        void operator()(EditLine* editor) const { el_end(editor); }
    };
    struct EndHistory {
        void operator()(History* history) const { history_end(history); }
    };

    std::string prompt_;
    std::unique_ptr<History, EndHistory> history_;
    std::unique_ptr<EditLine, EndEditor> editor_;  // uses history_
    boost::asio::posix::stream_descriptor watch_;
};

}  // namespace sutazai::cli
