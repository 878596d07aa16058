#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/generation.h"
#include "base/prompt_progress.h"

namespace sutazai::ipc {

using PromptListener = std::function<void(const PromptProgress&)>;

/// The reader's half of one request. Destroying it before the last update cancels the request: its sequence is freed by
/// the engine's next step, or the connection to its server is closed. Move-only; outlives its client safely (it then
/// ends with kEngineDied).
class TokenStream {
  public:
    struct Channel;  // ipc/channel.h; shared with who writes
    TokenStream() = default;
    explicit TokenStream(std::shared_ptr<Channel> channel);
    TokenStream(TokenStream&&) noexcept = default;
    TokenStream& operator=(TokenStream&&) noexcept;
    TokenStream(const TokenStream&) = delete;
    TokenStream& operator=(const TokenStream&) = delete;
    ~TokenStream();

    /// All that has arrived since the last call, merged into one update; waits while there is nothing. After an update
    /// with last() there are no more. One call at a time. Asio cancellation (of the awaiting coroutine) ends the wait
    /// with an operation_aborted exception and leaves the stream intact. (Of two operations raced with operator|| the
    /// later result is thrown away, which may be an update: race it only against what ends the request.)
    [[nodiscard]] boost::asio::awaitable<GenerationUpdate> next();

    /// Waits as next() does, but takes nothing: what may be raced against a timer without losing an update.
    [[nodiscard]] boost::asio::awaitable<void> ready();
    /// Called when the engine has got on with the prompt, from within its messages, until this is destroyed. Of models
    /// of other servers nothing is heard.
    void on_prompt(PromptListener listener);
    [[nodiscard]] bool has_update() const;  ///< would next() return at once

  private:
    Channel& channel();  ///< a default-made stream gets one that tells what is wrong

    std::shared_ptr<Channel> channel_;
};

/// Who answers requests: an engine, or a model of another server.
class Generator {
  public:
    virtual ~Generator() = default;

    /// A stream for each of the `n` answers. Never blocks and never fails: what goes wrong arrives through the streams.
    [[nodiscard]] virtual std::vector<TokenStream> submit_all(GenerationRequest request) = 0;
};

}  // namespace sutazai::ipc
