#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ipc/signal.h"
#include "serve/caller.h"
#include "serve/context.h"
#include "serve/event_sink.h"
#include "serve/response_records.h"
#include "serve/response_request.h"

namespace sutazai::serve {

/// Responses that go on when nobody waits for them. Each is a record of the store from the moment that its id is told;
/// what is open when the server ends, however it ends, begins again when it starts. BATCH_SIZE of them run at once, of
/// each key about as many. One I/O thread.
class BackgroundResponses {
  public:
    BackgroundResponses(Context& context, ResponseRecords& records, boost::asio::any_io_executor executor);
    ~BackgroundResponses();
    BackgroundResponses(const BackgroundResponses&) = delete;
    BackgroundResponses& operator=(const BackgroundResponses&) = delete;

    /// Begins one, of a conversation (converse()); the response object as it is queued. kQueueFull when the caller has
    /// MAX_BACKGROUND_RESPONSES open.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> start(Caller caller, ResponseRequest request);

    /// Tells the events of one that was asked for with `stream`, from number `first` on, until it has ended. kNotFound,
    /// or kInvalidArgument for one that has none.
    [[nodiscard]] boost::asio::awaitable<Result<void>> watch(Caller caller, std::string id, std::uint64_t first,
                                                             EventSink& sink);

    /// Ends one that is open, as cancelled, and returns when it is stored so. Nothing is done for others.
    [[nodiscard]] boost::asio::awaitable<void> cancel(Caller caller, std::string id);

    /// Takes up what was open when the last server ended. Responses that were no background ones have failed.
    [[nodiscard]] boost::asio::awaitable<void> resume();

    /// Begins no more. Those that run may end.
    void drain() { draining_ = true; }
    /// After drain(): leaves what still runs to the next start. Returns when nothing runs.
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] std::size_t open() const { return runs_.size(); }

  private:
    struct Run;
    class LogSink;

    [[nodiscard]] std::shared_ptr<Run> find(const Caller& caller, std::string_view id) const;
    void pump();
    boost::asio::awaitable<void> supervise(std::shared_ptr<Run> run);
    boost::asio::awaitable<Result<void>> work(std::shared_ptr<Run> run);
    boost::asio::awaitable<void> conclude(std::shared_ptr<Run> run, std::optional<Error> error);
    boost::asio::awaitable<Result<void>> watch_stored(Caller caller, std::string id, std::uint64_t first,
                                                      EventSink& sink);

    Context& context_;
    ResponseRecords& records_;
    boost::asio::any_io_executor executor_;
    std::list<std::shared_ptr<Run>> runs_;  // open, the oldest first
    ipc::Signal changed_;                   // a run has ended
    bool draining_ = false;
};

}  // namespace sutazai::serve
