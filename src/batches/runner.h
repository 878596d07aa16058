#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "batches/desk.h"
#include "batches/figures.h"
#include "batches/results.h"
#include "batches/store.h"
#include "ipc/signal.h"
#include "serve/context.h"
#include "serve/responses.h"

namespace sutazai::batches {

/// Takes batches from their order to their end, as far as they have come when the server starts. Of several servers
/// with one store one does so, until it ends. On the I/O thread.
class Runner : public std::enable_shared_from_this<Runner> {
  public:
    /// `status_of`: the HTTP status of an answer that is this error. Context, store and responses outlive stop().
    Runner(serve::Context& context, std::shared_ptr<Store> store, serve::Responses& responses,
           std::function<unsigned(const Error&)> status_of);

    void start(const boost::asio::any_io_executor& executor);
    /// Something was ordered or cancelled.
    void look_again() { changed_.notify(); }
    /// Lines that run are given up, to be run again at the next start; what has been answered is kept. Returns when
    /// nothing of it goes on.
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] Figures figures() const;

  private:
    struct Active;
    struct InFlight;
    using ActivePtr = std::shared_ptr<Active>;

    void spawn(boost::asio::awaitable<void> work, const char* what);
    [[nodiscard]] boost::asio::awaitable<void> keep_looking();
    [[nodiscard]] boost::asio::awaitable<bool> have_lock();
    [[nodiscard]] boost::asio::awaitable<void> look();
    [[nodiscard]] boost::asio::awaitable<void> tidy_up();
    void take_up(std::vector<BatchRecord> unfinished);

    [[nodiscard]] boost::asio::awaitable<void> drive(ActivePtr active);
    [[nodiscard]] boost::asio::awaitable<Result<bool>> validate(ActivePtr active);
    [[nodiscard]] boost::asio::awaitable<void> work(ActivePtr active);
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish(ActivePtr active);

    [[nodiscard]] boost::asio::awaitable<void> hand_out();
    [[nodiscard]] boost::asio::awaitable<void> read_on(Desk::Wanted wanted);
    void start_lines();
    void start_line(Task task);
    void line_ended(const std::shared_ptr<InFlight>& line, const std::exception_ptr& thrown,
                    Result<std::string> answer);
    void keep(const std::shared_ptr<InFlight>& line, const Result<std::string>& answer);
    void make_way();
    void stop_lines(std::int64_t batch);
    [[nodiscard]] std::size_t width() const;

    [[nodiscard]] boost::asio::awaitable<void> keep_answers();
    [[nodiscard]] boost::asio::awaitable<void> keep_answers_of(ActivePtr active);

    serve::Context& context_;
    std::shared_ptr<Store> store_;
    serve::Responses& responses_;
    std::function<unsigned(const Error&)> status_of_;
    boost::asio::any_io_executor executor_;
    Desk desk_;
    std::map<std::int64_t, ActivePtr> active_;
    std::list<std::shared_ptr<InFlight>> in_flight_;  // oldest first
    std::unique_ptr<FolderLock> lock_;
    std::set<std::int64_t> just_ended_;  // since the look began that is under way
    ipc::Signal changed_;                // batches
    ipc::Signal lines_;                  // something for hand_out() to look at
    ipc::Signal answered_;               // something for keep_answers() to write
    ipc::Signal progress_;               // a batch has come further, or everything has ended
    std::size_t n_coroutines_ = 0;
    std::size_t n_unkept_ = 0;  // answers that are not on the disk
    std::size_t unkept_bytes_ = 0;
    Desk::Time narrow_until_{};
    Desk::Time tidied_{};
    Figures figures_;
    bool stopping_ = false;
};

}  // namespace sutazai::batches
