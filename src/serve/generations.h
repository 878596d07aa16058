#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/generation.h"
#include "ipc/token_stream.h"

namespace sutazai::serve {

/// Several generations of one engine or upstream, run at the same time and read together. Destroying it cancels those
/// that run; an exception out of next() or ready() (the client has gone) does so too, by unwinding. One I/O thread.
class Generations {
  public:
    struct Event {
        std::size_t index;  ///< of the generation: the n of the first request come first, then those of the next
        GenerationUpdate update;
    };

    /// Submits the requests in their order, the next whenever fewer than `width` generations run. `engine` outlives
    /// this (its lease is held).
    Generations(ipc::Generator& engine, std::vector<GenerationRequest> requests, std::size_t width);
    ~Generations();
    Generations(const Generations&) = delete;
    Generations& operator=(const Generations&) = delete;

    /// How many generations the requests make.
    [[nodiscard]] static std::size_t count(std::span<const GenerationRequest> requests);

    /// Called with the index of a generation when its engine has got on with the prompt, from within the engine's
    /// messages, as long as this lives.
    void on_prompt(std::function<void(std::size_t, const PromptProgress&)> listener);

    /// What has come since the last call, one event a generation; waits while there is nothing. Empty when all have
    /// ended and been read. A generation that failed is an event like others.
    [[nodiscard]] boost::asio::awaitable<std::vector<Event>> next();

    /// Waits as next() does and takes nothing, so it may be raced against a timer.
    [[nodiscard]] boost::asio::awaitable<void> ready();
    [[nodiscard]] bool has_events() const;  ///< would next() return at once
    [[nodiscard]] bool ended() const;       ///< all have ended and been read

  private:
    struct State;
    std::shared_ptr<State> state_;  ///< shared with the readers, which may outlive this by a turn of the I/O loop
};

}  // namespace sutazai::serve
