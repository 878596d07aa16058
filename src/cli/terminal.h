#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

/// Reading lines from a terminal, and drawing a progress line on one.
namespace sutazai::cli {

/// An epoll descriptor that is readable whenever `fd` is, and is the caller's. Asio makes what it waits for
/// non-blocking, which of a terminal would last beyond this process; so it gets this one.
[[nodiscard]] int readiness_of(int fd);

/// Lines typed at a terminal, without blocking the thread that waits for them. The terminal keeps its mode. One call of
/// next() at a time.
class LineReader {
  public:
    /// `fd` can be waited for (a terminal, pipe or socket; not a plain file) and outlives the reader.
    LineReader(const boost::asio::any_io_executor& executor, int fd);

    /// The next line without its end, or nullopt at the end of the input. Cancelling the awaiting coroutine loses
    /// nothing.
    [[nodiscard]] boost::asio::awaitable<std::optional<std::string>> next();

  private:
    int fd_;
    boost::asio::posix::stream_descriptor watch_;
    std::string pending_;
    bool ended_ = false;
};

/// "loading name  [#####     ]  50%", redrawn in place. Does nothing when the stream is no terminal.
class ProgressLine {
  public:
    explicit ProgressLine(std::FILE* stream);
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    [[nodiscard]] bool is_terminal() const { return is_terminal_; }
    void show(std::string_view what, double share);  ///< `share` from 0 to 1
    void clear();

  private:
    std::FILE* stream_;
    bool is_terminal_;
    bool drawn_ = false;
};

/// The text of such a line.
[[nodiscard]] std::string progress_text(std::string_view what, double share);

}  // namespace sutazai::cli
