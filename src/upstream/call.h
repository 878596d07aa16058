#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/generation.h"
#include "ipc/channel.h"
#include "upstream/answer_reader.h"
#include "upstream/outgoing.h"
#include "upstream/upstream.h"

namespace sutazai::upstream {

/// One answer of a remote model, from the wait for a connection to the last token.
struct Call : std::enable_shared_from_this<Call> {
    std::shared_ptr<Upstream> upstream;
    std::shared_ptr<RemoteModel> model;
    std::shared_ptr<ipc::TokenStream::Channel> channel;
    Outgoing outgoing;
    AnswerBounds bounds;
    std::string via;
    boost::asio::cancellation_signal cancel;

    /// Runs to the answer's end, or until it is cancelled; an exception may come out of it then.
    [[nodiscard]] static boost::asio::awaitable<void> run(std::shared_ptr<Call> call);
    /// Ends the stream with an error in the words of whoever asked.
    void fail(Error error);

  private:
    using Clock = std::chrono::steady_clock;
    /// What became of one try.
    struct Outcome {
        enum class Next : std::uint8_t { kDone, kFail, kAgainAtOnce, kAgainLater };
        Next next = Next::kDone;
        Error error = {};
    };

    [[nodiscard]] boost::asio::awaitable<Outcome> attempt(bool may_reuse);
    [[nodiscard]] boost::asio::awaitable<Outcome> exchange(Connection& connection, bool reused);
    [[nodiscard]] boost::asio::awaitable<Outcome> refused(Connection& connection);
    [[nodiscard]] boost::asio::awaitable<Outcome> read_stream(Connection& connection);
    [[nodiscard]] boost::asio::awaitable<Outcome> read_vector(Connection& connection);
    [[nodiscard]] static Outcome failed(const boost::system::error_code& failure);
    [[nodiscard]] std::chrono::milliseconds patience() const;
    void tell(GenerationUpdate update);
    [[nodiscard]] Timings timings() const;

    Clock::time_point begun_;  // a place was asked for
    Clock::time_point sent_;   // the last request
    Clock::time_point first_token_;
    Clock::time_point last_token_;
    bool told_ = false;  // something of the answer
};

}  // namespace sutazai::upstream
