#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/blocking_pool.h"
#include "catalog/catalog.h"
#include "models/usage_file.h"
#include "models/usage_writer.h"
#include "models/warm_model.h"

namespace sutazai::models {

/// What is remembered of the models over a restart. One I/O thread.
class UsageRecord {
  public:
    /// Reads the file at `path`, before the event loop runs; empty: nothing is remembered.
    UsageRecord(BlockingPool& pool, const std::string& path);

    /// A model that is met for the first time begins with what is known of it, under whichever of its names, from the
    /// last run. `n_requests`: of all models so far.
    void recall(WarmModel& model, std::uint64_t n_requests, const catalog::Catalog& catalog) const;
    [[nodiscard]] bool was_pinned(const std::string& name) const;
    /// What was warm when the server last ran and is in the catalogue, pinned and most used first.
    [[nodiscard]] std::vector<std::string> was_warm(const catalog::Catalog& catalog) const;
    [[nodiscard]] std::size_t n_was_warm() const;  ///< whether they are in the catalogue or not

    /// As of now: of these models, and of those that nobody has asked for yet.
    [[nodiscard]] UsageByName now(const WarmModels& models, std::uint64_t n_requests) const;
    void write(UsageByName usage);
    /// The same, and returns when it is on the disk; false when it could not be put there.
    [[nodiscard]] boost::asio::awaitable<bool> write_now(UsageByName usage) {
        return writer_.write_now(std::move(usage));
    }
    /// Long enough since the last write() to note what is used, though nothing has come or gone.
    [[nodiscard]] bool is_due() const;

  private:
    using Clock = std::chrono::steady_clock;
    UsageWriter writer_;
    UsageByName before_;  // as of the last start
    Clock::time_point written_at_{};
};

}  // namespace sutazai::models
