#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cmath>
#include <system_error>
#include <utility>

namespace sutazai::cli {

namespace asio = boost::asio;

int readiness_of(int fd) {
    const int watch = epoll_create1(EPOLL_CLOEXEC);
    if (watch < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) != 0) {
        const int error = errno;
        close(watch);
        throw std::system_error(error, std::generic_category(), "the input cannot be waited for");
    }
    return watch;
}

LineReader::LineReader(const asio::any_io_executor& executor, int fd) : fd_(fd), watch_(executor, readiness_of(fd)) {}

asio::awaitable<std::optional<std::string>> LineReader::next() {
    for (;;) {
        if (const auto newline = pending_.find('\n'); newline != std::string::npos) {
            std::string line = pending_.substr(0, newline);
            pending_.erase(0, newline + 1);
            co_return line;
        }
        if (ended_) {
            if (pending_.empty()) co_return std::nullopt;
            co_return std::exchange(pending_, {});
        }
        co_await watch_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        std::array<char, 4096> buffer{};
        const ssize_t n = read(fd_, buffer.data(), buffer.size());
        if (n > 0) pending_.append(buffer.data(), static_cast<std::size_t>(n));
        ended_ = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    }
}

ProgressLine::ProgressLine(std::FILE* stream) : stream_(stream), is_terminal_(isatty(fileno(stream)) == 1) {}

void ProgressLine::show(std::string_view what, double share) {
    if (!is_terminal_) return;
    fmt::print(stream_, "\r{}\x1b[K", progress_text(what, share));
    std::fflush(stream_);
    drawn_ = true;
}

void ProgressLine::clear() {
    if (!drawn_) return;
    fmt::print(stream_, "\r\x1b[K");
    std::fflush(stream_);
    drawn_ = false;
}

std::string progress_text(std::string_view what, double share) {
    constexpr int kWidth = 30;
    share = std::clamp(share, 0.0, 1.0);
    const auto filled = static_cast<int>(std::floor(share * kWidth));
    return fmt::format("{}  [{:#<{}}{:<{}}] {:3.0f}%", what, "", filled, "", kWidth - filled, std::floor(share * 100));
}

}  // namespace sutazai::cli
