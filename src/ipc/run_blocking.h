#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/blocking_pool.h"
#include "base/error.h"

/// Waiting in a coroutine for work on a BlockingPool.
namespace sutazai::ipc {

namespace detail {

template <typename T>
struct ResultOf {
    using type = Result<T>;
};
template <typename T>
struct ResultOf<Result<T>> {
    using type = Result<T>;
};

/// Of one wait. `work` and `result` are the pool thread's until it posts `complete`; `waiter` is the executor's.
template <typename R>
struct BlockingCall {
    std::move_only_function<R()> work;
    std::optional<R> result;
    std::move_only_function<void(boost::system::error_code)> waiter;
    std::atomic<bool> abandoned = false;

    void do_work() {
        try {
            result.emplace(work());
        } catch (const std::exception& error) {
            result.emplace(fail(ErrorCode::kInternal, error.what()));
        } catch (...) {
            result.emplace(fail(ErrorCode::kInternal, "an unknown exception"));
        }
        work = nullptr;
    }
    void complete(boost::system::error_code error) {
        if (waiter) std::exchange(waiter, nullptr)(error);
    }
};

/// Resumes the coroutine. An event loop that ends without having come to it destroys it instead, and the coroutine,
/// which owns the call that owns it, goes with it.
template <typename R>
struct Completion {
    std::shared_ptr<BlockingCall<R>> call;

    explicit Completion(std::shared_ptr<BlockingCall<R>> done) : call(std::move(done)) {}
    Completion(Completion&&) noexcept = default;
    ~Completion() {
        if (call) std::exchange(call->waiter, nullptr);
    }
    void operator()() const { call->complete({}); }
};

template <typename R>
void start(BlockingPool& pool, const boost::asio::any_io_executor& executor,
           const std::shared_ptr<BlockingCall<R>>& call) {
    const bool taken = pool.post([call, executor]() mutable {
        if (call->abandoned) return;
        call->do_work();
        // Nothing of the call is kept here: the coroutine must end on its own thread.
        boost::asio::post(executor, Completion<R>(std::move(call)));
    });
    if (taken) return;
    call->result.emplace(
        std::unexpected(Error{ErrorCode::kUnavailable, "The server has too much work waiting; try again.", {}, 1}));
    boost::asio::post(executor, Completion<R>(call));
}

template <typename R>
boost::asio::awaitable<R> wait(BlockingPool& pool, std::shared_ptr<BlockingCall<R>> call) {
    namespace asio = boost::asio;
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto initiate = [&](auto&& handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([weak = std::weak_ptr(call)](asio::cancellation_type) {
                const auto held = weak.lock();
                if (!held) return;
                held->abandoned = true;
                held->complete(asio::error::operation_aborted);
            });
        }
        call->waiter = [handler = std::forward<decltype(handler)>(handler)](boost::system::error_code error) mutable {
            asio::post(asio::append(std::move(handler), error));
        };
        start(pool, executor, call);
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(initiate,
                                                                                                  asio::use_awaitable);
    co_return std::move(*call->result);
}

}  // namespace detail

/// What run_blocking() resumes with for a callable of this type.
template <typename Work>
using BlockingResult = typename detail::ResultOf<std::invoke_result_t<Work&>>::type;

/// Runs `work` on a thread of `pool` and resumes on the coroutine's own executor with what it returned: a T, a
/// Result<T> or nothing becomes a Result. What it throws becomes kInternal with the exception's text, a full queue
/// kUnavailable. Asio cancellation ends the wait at once with an operation_aborted exception; work that has begun then
/// goes on unobserved, so `work` owns (or shares) everything it touches.
///
/// `work` has a name and is moved from: g++ 12 destroys a closure twice that is made within a co_await expression.
template <typename Work>
[[nodiscard]] auto run_blocking(BlockingPool& pool, Work& work) {
    using R = BlockingResult<Work>;
    auto call = std::make_shared<detail::BlockingCall<R>>();
    if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
        call->work = [work = std::move(work)]() mutable -> R {
            work();
            return {};
        };
    } else {
        call->work = std::move(work);
    }
    return detail::wait<R>(pool, std::move(call));
}

}  // namespace sutazai::ipc
