#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/blocking_pool.h"
#include "catalog/catalog.h"
#include "catalog/folder_watch.h"
#include "ipc/signal.h"

namespace sutazai::models {

/// Keeps a catalogue as the disk has it. The disk is read on the pool; everything else happens on the event loop's
/// thread, on which the catalogue is used.
class CatalogKeeper : public std::enable_shared_from_this<CatalogKeeper> {
  public:
    /// Both outlive it.
    CatalogKeeper(catalog::Catalog& catalog, BlockingPool& pool);

    /// Reads everything, and from then on again soon after a change in a folder of models; where the kernel does not
    /// tell of changes, and for those that it does not tell of, every so often. Until stop().
    void watch(const boost::asio::any_io_executor& executor);
    void stop();

    /// Reads everything again; returns when the catalogue is at least as young as the call. Who asks meanwhile shares.
    [[nodiscard]] boost::asio::awaitable<void> refresh();
    /// The same, but at once when nothing can have changed since the last time.
    [[nodiscard]] boost::asio::awaitable<void> catch_up();

  private:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] boost::asio::awaitable<void> sleep(Clock::time_point until, bool or_news);
    [[nodiscard]] static boost::asio::awaitable<void> scan(std::shared_ptr<CatalogKeeper> self);
    void take(std::shared_ptr<const catalog::Listing> listing);
    /// When to look again without news.
    [[nodiscard]] Clock::time_point due() const;
    catalog::Catalog& catalog_;
    BlockingPool& pool_;
    catalog::FolderWatch watch_;  // a scan's, while one is under way
    bool hears_all_ = false;      // every folder is watched
    std::optional<boost::asio::posix::stream_descriptor> news_;
    std::optional<boost::asio::steady_timer> timer_;
    bool waits_for_news_ = false;
    bool stopped_ = false;

    std::uint64_t n_begun_ = 0;  // scans
    std::uint64_t n_ended_ = 0;
    Clock::time_point scanned_at_;
    Clock::duration scan_took_{0};
    ipc::Signal scanned_;
};

}  // namespace sutazai::models
