#include "models/catalog_keeper.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/thrown.h"
#include "ipc/run_blocking.h"

namespace sutazai::models {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// From the first news to the look: files come in many writes.
constexpr milliseconds kDebounce{50};
/// Between two looks while a file is being written.
constexpr milliseconds kRest{250};
/// Network file systems and targets of links change without news.
constexpr seconds kNowAndThen{30};
/// Without news.
constexpr seconds kPoll{2};
/// And then so many times as long as a look takes, at least.
constexpr int kLeastRest = 20;

}  // namespace

CatalogKeeper::CatalogKeeper(catalog::Catalog& catalog, BlockingPool& pool)
    : catalog_(catalog), pool_(pool), scanned_at_(Clock::now()) {}

void CatalogKeeper::watch(const asio::any_io_executor& executor) {
    if (timer_) return;
    timer_.emplace(executor);
    if (const int fd = watch_.fd() < 0 ? -1 : ::dup(watch_.fd()); fd >= 0) news_.emplace(executor, fd);
    asio::co_spawn(executor, run(), [self = shared_from_this()](const std::exception_ptr& thrown) {
        if (thrown) spdlog::error("models are not looked for any more: {}", text_of(thrown));
    });
}

void CatalogKeeper::stop() {
    stopped_ = true;
    if (timer_) timer_->cancel();
    news_.reset();
}

CatalogKeeper::Clock::time_point CatalogKeeper::due() const {
    if (hears_all_) return scanned_at_ + kNowAndThen;
    return scanned_at_ + std::max<Clock::duration>(kPoll, kLeastRest * scan_took_);
}

asio::awaitable<void> CatalogKeeper::run() {
    const auto self = shared_from_this();
    for (bool first = true; !stopped_; first = false) {
        try {
            const Clock::time_point until = due();
            if (!first) co_await sleep(until, true);
            if (!stopped_ && !first) co_await sleep(Clock::now() + kDebounce, false);
            if (stopped_) break;
            const bool looks = n_begun_ != n_ended_;
            if (!first && Clock::now() < until && !looks && !watch_.has_news()) continue;
            co_await refresh();
        } catch (const std::exception& error) {
            spdlog::error("looking for models failed: {}", error.what());
        }
        if (!stopped_) co_await sleep(Clock::now() + kRest, false);
    }
}

asio::awaitable<void> CatalogKeeper::sleep(Clock::time_point until, bool or_news) {
    timer_->expires_at(until);
    if (or_news && news_ && !waits_for_news_) {
        waits_for_news_ = true;
        news_->async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                              self->waits_for_news_ = false;
                              if (!error && self->timer_) self->timer_->cancel();
                          });
    }
    boost::system::error_code woken;
    co_await timer_->async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

asio::awaitable<void> CatalogKeeper::refresh() {
    const auto self = shared_from_this();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const std::uint64_t wanted = n_begun_ + 1;
    while (n_ended_ < wanted) {
        // By itself, so that who goes away takes it from nobody else.
        if (n_begun_ == n_ended_) {
            ++n_begun_;
            asio::co_spawn(executor, scan(self), [](const std::exception_ptr&) {});
        }
        if (n_ended_ < wanted) co_await scanned_.wait(ipc::Signal::kEver);
    }
}

asio::awaitable<void> CatalogKeeper::catch_up() {
    if (n_begun_ == n_ended_) {
        const bool hears_nothing = hears_all_ && !watch_.has_news();
        if (hears_nothing || (!hears_all_ && Clock::now() < due())) co_return;
    }
    co_await refresh();
}

/// Never throws.
asio::awaitable<void> CatalogKeeper::scan(std::shared_ptr<CatalogKeeper> self) {
    self->watch_.clear();  // what comes from here on may be missed
    const Clock::time_point began = Clock::now();
    auto look = [self, scanner = self->catalog_.scanner(), watch = self->news_ ? &self->watch_ : nullptr] {
        return scanner->scan(catalog::Scanner::Extent::kAll, watch);
    };
    try {
        auto listing = co_await ipc::run_blocking(self->pool_, look);
        if (!listing) throw std::runtime_error(listing.error().message);
        self->scanned_at_ = Clock::now();
        self->scan_took_ = self->scanned_at_ - began;
        self->hears_all_ = self->news_ && self->watch_.hears_all();
        self->take(std::move(*listing));
    } catch (const std::exception& error) {
        spdlog::error("looking for models failed: {}", error.what());
    }
    self->n_ended_ = self->n_begun_;
    self->scanned_.notify();
}

void CatalogKeeper::take(std::shared_ptr<const catalog::Listing> listing) {
    const std::uint64_t before = catalog_.generation();
    const std::string problem = catalog_.config_problem();
    catalog_.replace(std::move(listing));
    if (catalog_.generation() == before) return;
    for (const std::string& note : catalog_.fresh_notes()) spdlog::info("models: {}", note);
    if (catalog_.config_problem() == problem) return;
    if (catalog_.config_problem().empty()) {
        spdlog::info("models.toml is as it should be again");
    } else {
        spdlog::error("{}; what it said before goes on", catalog_.config_problem());
    }
}

}  // namespace sutazai::models
