#include "client.h"

#include <array>
#include <boost/asio.hpp>
#include <memory>

namespace sutazai::loadgen {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class Sender {
  public:
    Sender(const std::vector<Request>& requests, std::uint16_t port, std::chrono::seconds timeout)
        : requests_(requests), server_(asio::ip::address_v4::loopback(), port), timeout_(timeout) {
        run_.outcomes.resize(requests.size());
        for (std::size_t i = 0; i < requests.size(); ++i) {
            if (!requests[i].at) closed_loop_.push_back(i);
        }
    }

    Run run(std::size_t concurrency) {
        run_.begun = Clock::now();
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (requests_[i].at) asio::co_spawn(io_, send_later(i), asio::detached);
        }
        for (std::size_t i = 0; i < std::min(concurrency, closed_loop_.size()); ++i) {
            asio::co_spawn(io_, send_in_turn(), asio::detached);
        }
        io_.run();
        run_.ended = Clock::now();
        return std::move(run_);
    }

  private:
    asio::awaitable<void> send_later(std::size_t index) {
        asio::steady_timer timer(io_, run_.begun + *requests_[index].at);
        co_await timer.async_wait(asio::use_awaitable);
        co_await send(index);
    }

    asio::awaitable<void> send_in_turn() {
        while (next_ < closed_loop_.size()) co_await send(closed_loop_[next_++]);
    }

    asio::awaitable<void> send(std::size_t index) {
        Outcome& outcome = run_.outcomes[index];
        outcome.sent = Clock::now();
        AnswerScanner scanner;
        const auto socket = std::make_shared<tcp::socket>(io_);
        asio::steady_timer deadline(io_, timeout_);
        deadline.async_wait([socket](boost::system::error_code cancelled) {
            boost::system::error_code ignored;
            if (!cancelled) socket->close(ignored);
        });
        std::string broken;
        try {
            // A kept connection may have been closed by the server meanwhile; then the request goes over a new one.
            while (!co_await exchange(requests_[index].wire, *socket, scanner, outcome)) {
            }
        } catch (const boost::system::system_error& error) {
            broken = error.code().message();
        } catch (const std::exception& error) {
            broken = error.what();
        }
        deadline.cancel();
        outcome.done = Clock::now();
        outcome.answer = scanner.finish(outcome.done);
        if (!broken.empty()) {
            outcome.answer.error = broken;
        } else if (outcome.answer.error.empty() && outcome.status != 200) {
            outcome.answer.error = "status " + std::to_string(outcome.status);
        }
    }

    /// False: a kept connection ended before the answer began.
    asio::awaitable<bool> exchange(const std::string& wire, tcp::socket& socket, AnswerScanner& scanner,
                                   Outcome& outcome) {
        const bool kept = !idle_.empty();
        if (kept) {
            socket = std::move(idle_.back());
            idle_.pop_back();
        } else {
            socket = tcp::socket(io_);
            co_await socket.async_connect(server_, asio::use_awaitable);
            socket.set_option(tcp::no_delay(true));
        }
        boost::system::error_code failed;
        co_await asio::async_write(socket, asio::buffer(wire), asio::redirect_error(asio::use_awaitable, failed));
        ResponseReader reader;
        std::array<char, 16384> buffer;
        bool begun = false;
        while (!failed && !reader.complete()) {
            const std::size_t size = co_await socket.async_read_some(asio::buffer(buffer),
                                                                     asio::redirect_error(asio::use_awaitable, failed));
            if (failed) break;
            begun = true;
            reader.feed({buffer.data(), size}, scanner, Clock::now());
            outcome.status = reader.status();
        }
        if (failed && kept && !begun && failed != asio::error::operation_aborted) co_return false;
        if (failed) throw boost::system::system_error(failed);
        if (reader.keep_alive()) idle_.push_back(std::move(socket));
        co_return true;
    }

    const std::vector<Request>& requests_;
    tcp::endpoint server_;
    std::chrono::seconds timeout_;
    asio::io_context io_{1};
    std::vector<tcp::socket> idle_;
    std::vector<std::size_t> closed_loop_;
    std::size_t next_ = 0;
    Run run_;
};

}  // namespace

Run send_all(const std::vector<Request>& requests, std::uint16_t port, std::size_t concurrency,
             std::chrono::seconds timeout) {
    return Sender(requests, port, timeout).run(concurrency);
}

}  // namespace sutazai::loadgen
