#include "ipc/channel.h"

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iterator>
#include <utility>

namespace sutazai::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

void TokenStream::Channel::add(std::string_view content, std::uint32_t n_tokens) {
    if (ended_) return;
    pending_.delta.content += content;
    pending_.n_tokens += n_tokens;
    has_pending_ = true;
    wake({});
}

void TokenStream::Channel::add(GenerationUpdate update) {
    if (ended_) return;
    pending_.scores.insert(pending_.scores.end(), std::make_move_iterator(update.scores.begin()),
                           std::make_move_iterator(update.scores.end()));
    if (!update.embedding.empty()) pending_.embedding = std::move(update.embedding);
    pending_.delta.append(std::move(update.delta));
    add(std::string_view(), update.n_tokens);
}

void TokenStream::Channel::finish(const Finished& finished) {
    if (ended_) return;
    pending_.finished = finished;
    has_pending_ = ended_ = true;
    cancel_ = nullptr;
    wake({});
}

void TokenStream::Channel::fail(Error error) {
    if (ended_) return;
    pending_.error = std::move(error);
    has_pending_ = ended_ = true;
    cancel_ = nullptr;
    wake({});
}

void TokenStream::Channel::wake(error_code error) {
    if (waiter_) std::exchange(waiter_, nullptr)(error);
}

void TokenStream::Channel::abandon() {
    ended_ = true;
    on_prompt_ = nullptr;
    if (cancel_) std::exchange(cancel_, nullptr)();
    taken_.notify();
    wake(asio::error::operation_aborted);
}

/// Keeps the handler of one wait in the channel until wake().
struct TokenStream::Channel::Initiation {
    template <typename Handler>
    void operator()(Handler&& handler, const std::shared_ptr<Channel>& channel) const {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([weak = std::weak_ptr(channel)](asio::cancellation_type) {
                if (const auto held = weak.lock()) held->wake(asio::error::operation_aborted);
            });
        }
        channel->waiter_ = [handler = std::forward<Handler>(handler)](error_code error) mutable {
            asio::post(asio::append(std::move(handler), error));
        };
    }
};

asio::awaitable<void> TokenStream::Channel::ready(std::shared_ptr<Channel> self) {
    if (has_update()) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(error_code)>(Initiation{}, asio::use_awaitable,
                                                                                   self);
    // A cancellation that comes between wake() and here must not let the reader take the update with it.
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
}

asio::awaitable<GenerationUpdate> TokenStream::Channel::next(std::shared_ptr<Channel> self) {
    co_await self->ready(self);
    if (!has_pending_) {
        GenerationUpdate nothing;
        nothing.error = Error{ErrorCode::kInternal, "The stream was read past its end."};
        co_return nothing;
    }
    has_pending_ = false;
    taken_.notify();
    co_return std::exchange(pending_, {});
}

asio::awaitable<void> TokenStream::Channel::taken(std::shared_ptr<Channel> self) {
    co_await self->taken_.wait(Signal::kEver);
}

}  // namespace sutazai::ipc
