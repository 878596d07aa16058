#include "http/accept_loop.h"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace sutazai::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kPause{50};
constexpr std::chrono::seconds kBetweenReports{10};

/// Tells the log of what may happen many times a second.
class Reporter {
  public:
    void report(std::string_view why) {
        ++n_unreported_;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return;
        next_ = now + kBetweenReports;
        spdlog::error("a connection could not be accepted: {} ({} since the last report)", why,
                      std::exchange(n_unreported_, 0));
    }

  private:
    std::chrono::steady_clock::time_point next_;
    int n_unreported_ = 0;
};

}  // namespace

asio::awaitable<void> accept_until_closed(tcp::acceptor& acceptor, std::function<void(tcp::socket)> start) {
    asio::steady_timer pause(acceptor.get_executor());
    Reporter reporter;
    while (acceptor.is_open()) {
        try {
            auto [failure, socket] = co_await acceptor.async_accept(kTuple);
            if (!failure) {
                start(std::move(socket));
                continue;
            }
            if (failure == asio::error::operation_aborted || !acceptor.is_open()) break;
            // Out of file descriptors, most likely: the queue of the kernel holds newcomers while others finish.
            reporter.report(failure.message());
        } catch (const std::exception& error) {
            reporter.report(error.what());
        }
        pause.expires_after(kPause);
        co_await pause.async_wait(kTuple);
    }
}

}  // namespace sutazai::http
