#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "base/blocking_pool.h"
#include "base/error.h"
#include "config/settings.h"
#include "ipc/run_blocking.h"
#include "responses/response_store.h"

namespace sutazai::serve {

/// The store of responses on a thread of its own, which does what is asked of it in the order in which it is asked: a
/// disk that stalls holds nothing else up. One I/O thread.
class ResponseRecords {
  public:
    explicit ResponseRecords(const config::Settings& settings);

    /// Is anything kept at all (RESPONSES_RETENTION_DAYS)?
    [[nodiscard]] bool keeps() const { return keeps_; }

    /// `work(store, now)`, a named callable that is moved from and owns all that it touches, and gives a Result.
    template <typename Work>
    [[nodiscard]] auto run(Work& work) {
        auto call = [store = store_, work = std::move(work)]() mutable {
            using std::chrono::system_clock;
            return work(*store, system_clock::to_time_t(system_clock::now()));
        };
        return ipc::run_blocking(pool_, call);
    }

    /// A new record, or what is new of one that was added.
    [[nodiscard]] boost::asio::awaitable<Result<void>> add(responses::Record record);
    [[nodiscard]] boost::asio::awaitable<Result<bool>> update(responses::Record record);

    /// Tells the log, and not too often.
    void complain(const Error& error);

  private:
    std::shared_ptr<responses::ResponseStore> store_;
    bool keeps_;
    std::chrono::steady_clock::time_point complained_{};
    BlockingPool pool_{1};
};

}  // namespace sutazai::serve
