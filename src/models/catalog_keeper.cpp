#include "models/catalog_keeper.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <filesystem>
#include <set>
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

}  // namespace

CatalogKeeper::CatalogKeeper(catalog::Catalog& catalog, BlockingPool& pool)
    : catalog_(catalog), pool_(pool), scanned_at_(Clock::now()) {}

void CatalogKeeper::watch(const asio::any_io_executor& executor) {
    if (timer_) return;
    timer_.emplace(executor);
    if (const int fd = watch_.fd() < 0 ? -1 : ::dup(watch_.fd()); fd >= 0) news_.emplace(executor, fd);
    listen();
    asio::co_spawn(executor, run(), [self = shared_from_this()](const std::exception_ptr& thrown) {
        if (thrown) spdlog::error("models are not looked for any more: {}", text_of(thrown));
    });
}

void CatalogKeeper::stop() {
    stopped_ = true;
    if (timer_) timer_->cancel();
    news_.reset();
}

asio::awaitable<void> CatalogKeeper::run() {
    const auto self = shared_from_this();
    while (!stopped_) {
        try {
            const Clock::time_point due = scanned_at_ + (hears_all_ ? Clock::duration(kNowAndThen) : kPoll);
            co_await sleep(due, true);
            if (!stopped_) co_await sleep(Clock::now() + kDebounce, false);
            if (stopped_) break;
            if (Clock::now() < due && !watch_.has_news()) continue;
            listen();  // to a folder that was not there, or was replaced
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
        if (hears_nothing || (!hears_all_ && Clock::now() < scanned_at_ + kPoll)) co_return;
    }
    co_await refresh();
}

/// Never throws.
asio::awaitable<void> CatalogKeeper::scan(std::shared_ptr<CatalogKeeper> self) {
    self->watch_.clear();  // what comes from here on may be missed
    auto look = [sources = self->catalog_.sources()] { return catalog::scan(sources); };
    try {
        auto listing = co_await ipc::run_blocking(self->pool_, look);
        if (!listing) throw std::runtime_error(listing.error().message);
        self->scanned_at_ = Clock::now();
        for (const std::string& note : self->catalog_.replace(std::move(*listing))) spdlog::info("models: {}", note);
    } catch (const std::exception& error) {
        spdlog::error("looking for models failed: {}", error.what());
    }
    self->n_ended_ = self->n_begun_;
    self->scanned_.notify();
}

void CatalogKeeper::listen() {
    const catalog::ModelSources& sources = catalog_.sources();
    std::set<std::string> folders, files;
    if (!sources.models_dir.empty()) folders.insert(sources.models_dir);
    for (const auto& [name, path] : sources.named) {
        folders.insert(std::filesystem::path(path).parent_path().string());
        files.insert(std::filesystem::path(path).filename().string());
    }
    hears_all_ = news_ && watch_.watch(folders, std::move(files));
}

}  // namespace sutazai::models
