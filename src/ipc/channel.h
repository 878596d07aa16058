#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "ipc/signal.h"
#include "ipc/token_stream.h"

namespace sutazai::ipc {

/// What lies between who writes a stream, an engine's client or an upstream, and one TokenStream, which takes the
/// updates out. Same thread.
struct TokenStream::Channel {
  public:
    /// `cancel` tells the writer that nobody reads any more; it is dropped at the last update.
    explicit Channel(std::move_only_function<void()> cancel) : cancel_(std::move(cancel)) {}

    // The writer's side. Nothing is taken after the last update. The reader is resumed through its executor's queue,
    // never from within these.
    void add(std::string_view content, std::uint32_t n_tokens);
    void add(GenerationUpdate update);  ///< all that it holds beside its end
    void finish(const Finished& finished);
    void fail(Error error);
    void note_prompt(const PromptProgress& progress) {  ///< the reader's listener hears of it at once
        if (on_prompt_) on_prompt_(progress);
    }
    /// Of what nobody has taken yet.
    [[nodiscard]] std::size_t unread_bytes() const { return pending_.delta.text_bytes(); }
    /// Returns when the reader has taken something or gone away.
    [[nodiscard]] boost::asio::awaitable<void> taken(std::shared_ptr<Channel> self);

    // The reader's side.
    [[nodiscard]] boost::asio::awaitable<void> ready(std::shared_ptr<Channel> self);
    [[nodiscard]] boost::asio::awaitable<GenerationUpdate> next(std::shared_ptr<Channel> self);
    [[nodiscard]] bool has_update() const { return has_pending_ || ended_; }
    void on_prompt(PromptListener listener) { on_prompt_ = std::move(listener); }
    void abandon();

  private:
    struct Initiation;
    void wake(boost::system::error_code error);

    GenerationUpdate pending_;
    bool has_pending_ = false;
    bool ended_ = false;  // the last update was put in
    Signal taken_;
    PromptListener on_prompt_;
    std::move_only_function<void()> cancel_;
    std::move_only_function<void(boost::system::error_code)> waiter_;
};

}  // namespace sutazai::ipc
