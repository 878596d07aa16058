#include "ipc/signal.h"

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace sutazai::ipc {

namespace asio = boost::asio;

asio::awaitable<void> Signal::wait(Clock::time_point deadline) {
    asio::steady_timer timer(co_await asio::this_coro::executor, deadline);
    struct Registration {
        std::shared_ptr<Waiting> list;
        asio::steady_timer* timer;
        ~Registration() { std::erase(*list, timer); }
    };
    waiting_->push_back(&timer);
    const Registration registration{waiting_, &timer};
    boost::system::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    // notify() and cancellation look the same to the timer.
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
}

void Signal::notify() {
    for (asio::steady_timer* timer : *waiting_) timer->cancel();
}

}  // namespace sutazai::ipc
