#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "api/responses.h"
#include "base/error.h"
#include "serve/background_responses.h"
#include "serve/caller.h"
#include "serve/context.h"
#include "serve/event_sink.h"
#include "serve/response_records.h"
#include "serve/response_request.h"

namespace sutazai::serve {

/// OpenAI's Responses API: what its routes ask for. A response is found by the key that asked for it alone; for others
/// it is not there (kNotFound). One I/O thread; outlives what it has begun.
class Responses {
  public:
    Responses(Context& context, boost::asio::any_io_executor executor);

    /// The response object, of a background response as it is queued.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> create(Caller caller, ResponseRequest request);
    /// The same as events.
    [[nodiscard]] boost::asio::awaitable<Result<void>> stream(Caller caller, ResponseRequest request, EventSink& sink);
    /// The events of a background response from number `first` on.
    [[nodiscard]] boost::asio::awaitable<Result<void>> watch(Caller caller, std::string id, std::uint64_t first,
                                                             EventSink& sink);

    [[nodiscard]] boost::asio::awaitable<Result<std::string>> find(Caller caller, std::string id);
    /// An open background response is cancelled first.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> remove(Caller caller, std::string id);
    /// The response as it is then. kInvalidArgument for one that is no background response.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> cancel(Caller caller, std::string id);
    /// All that the response was made of: what it goes on from, as far as that is there, and its own items.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> list_input(Caller caller, std::string id,
                                                                         api::responses::ItemPage page);
    /// Tokens of a request's prompt.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> count_input(Caller caller, ResponseRequest request);

    /// Takes up what the last server has left, and deletes what has been kept for long enough until drain().
    void begin();
    void drain();
    /// After drain(): returns when nothing runs in the background any more; what did begins again at the next start.
    [[nodiscard]] boost::asio::awaitable<void> stop();

  private:
    [[nodiscard]] boost::asio::awaitable<Result<responses::Record>> record(Caller caller, std::string id);
    boost::asio::awaitable<void> expire();
    /// stop() waits for the end of `work`.
    void spawn(boost::asio::awaitable<void> work);

    Context& context_;
    boost::asio::any_io_executor executor_;
    ResponseRecords records_;
    BackgroundResponses background_;
    ipc::Signal ending_;
    ipc::Signal ended_;  // a coroutine of spawn()
    std::size_t n_coroutines_ = 0;
    bool draining_ = false;
};

}  // namespace sutazai::serve
