#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/blocking_pool.h"
#include "base/error.h"
#include "serve/answer_format.h"
#include "serve/event_sink.h"
#include "serve/read_all.h"

namespace sutazai::serve {

/// Tells a sink of everything as it comes, in the words of a format. An error among the first events, while nothing has
/// been told, leaves the sink untouched; a later one is told and ends the answer properly. One I/O thread; large
/// updates are encoded on the pool.
class StreamWriter final : public Listener {
  public:
    /// Of `n_generations`. `pool` and `sink` outlive this.
    StreamWriter(BlockingPool& pool, std::shared_ptr<AnswerFormat> format, std::size_t n_generations, EventSink& sink);

    /// Tells that the answer has begun although nothing has come.
    [[nodiscard]] boost::asio::awaitable<Result<void>> begin();
    /// All generations have ended well.
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish();

    [[nodiscard]] Error explain(Error error, std::size_t index) override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool last) override;

  private:
    void start();
    boost::asio::awaitable<void> append_heavy(std::size_t index, GenerationUpdate& update, std::size_t bytes);

    BlockingPool& pool_;
    std::shared_ptr<AnswerFormat> format_;  // shared with what encodes on the pool
    EventSink& sink_;
    std::vector<Usage> usages_;
    bool started_ = false;
};

}  // namespace sutazai::serve
