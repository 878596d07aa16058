#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/blocking_pool.h"
#include "base/duration.h"
#include "base/error.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "models/lease.h"
#include "models/model_status.h"
#include "models/placement.h"
#include "upstream/upstreams.h"

/// Which models are warm. Lives on the server's one I/O thread.
namespace sutazai::models {

class WarmSet;

/// Times that are no settings, and what tests need to be quick.
struct Tuning {
    std::chrono::milliseconds first_backoff{500};  ///< after the first failed load or second crash; doubles each time
    std::chrono::milliseconds longest_backoff{30'000};
    std::chrono::milliseconds stable_after{30'000};              ///< a crash after this long counts as the first one
    std::chrono::milliseconds eviction_deadline{5'000};          ///< for an idle engine to end itself
    std::optional<std::chrono::milliseconds> load_timeout = {};  ///< instead of the setting's
    std::optional<std::chrono::milliseconds> stall_timeout = {};
    std::vector<std::string> engine_arguments = {};  ///< added to the engine's command line
    placement::Rules placement = {};                 ///< all but the room
    std::string usage_file = {};                     ///< where it is remembered which models were used; empty: nowhere
};

/// The warm set: loads on demand (concurrent requests for a cold model cause one load), keeps at most MODEL_CACHE_SIZE
/// models within MODEL_CACHE_BYTES, ends the processes of those that are asked for least to make room, restarts what
/// crashed with a back-off, and remembers which models were used. placement.h says who makes room, warm_set.h who has
/// it.
class AdvancedModelManager {
  public:
    /// `catalog` and `pool` outlive the manager. Engines live on the executor of the coroutine that first asked for
    /// them.
    AdvancedModelManager(const config::Settings& settings, catalog::Catalog& catalog, BlockingPool& pool,
                         std::string executable, Tuning tuning = {});
    AdvancedModelManager(const AdvancedModelManager&) = delete;
    AdvancedModelManager& operator=(const AdvancedModelManager&) = delete;
    /// Ends all engines that no lease holds; the others end with their last lease.
    ~AdvancedModelManager();

    /// Engine processes stand by for cold models from now on, as STANDBY_ENGINES says.
    void keep_standby(const boost::asio::any_io_executor& executor);

    /// Other servers are asked for their models from now on, which the catalogue has then.
    void watch_upstreams(const boost::asio::any_io_executor& executor);

    /// The catalogue follows the disk from now on (models/catalog_keeper.h).
    void watch_files(const boost::asio::any_io_executor& executor);
    /// Returns when the catalogue is as the disk is now.
    [[nodiscard]] boost::asio::awaitable<void> catch_up();

    /// The same, when something was changed that might not be noticed.
    [[nodiscard]] boost::asio::awaitable<void> look_again();

    /// A hold on `name`, loading it first if need be. `keep_alive` says how long the model stays warm once it is idle
    /// (negative: for ever, 0: not at all), until another request says something else; without it MODEL_KEEP_ALIVE
    /// does. A warm model whose file is another one by now, or was written to, is drained and loaded anew first; the
    /// old weights stay when the new file cannot be used. One that has been loaded with less context than
    /// `context_tokens` is loaded anew with more, where nobody has settled how much there is and it was trained for
    /// more; how much there is then is to be seen from the lease. Errors: kInvalidArgument when there is no memory for
    /// that, kNotFound, kUpstreamFailed (of a model that another server has: all else comes with the answer),
    /// kLoadFailed (with the engine's reason; refused at once with retry_after_s while a failed load backs off; with
    /// the numbers for a model larger than MODEL_CACHE_BYTES), kUnavailable (draining, every warm model is busy or
    /// pinned and none can make room in time, or the engine crashes again and again). A cancelled wait does not end the
    /// load.
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> acquire(std::string name,
                                                                std::optional<KeepAlive> keep_alive = {},
                                                                std::uint32_t context_tokens = 0);

    /// Loads `name` if it is cold; the hold on it counts as no request, and while it is out the model makes room for
    /// nobody. Errors as above.
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> warm(std::string name);
    /// The same, but never in another model's place: kUnavailable when there is no room.
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> warm_if_room(std::string name);
    /// A hold on a model that is warm, else kUnavailable. Counts as no request.
    [[nodiscard]] Result<Lease> hold_if_warm(const std::string& name);

    /// Ends the engine of a warm model and returns when its process is gone; true when there was one. kUnavailable for
    /// one that is pinned, loading, or busy; with `wait` a busy one gives no more leases and goes when the last one
    /// ends. A cancelled wait lets it stay.
    [[nodiscard]] boost::asio::awaitable<Result<bool>> evict(std::string name, bool wait);
    /// A pinned model is never evicted to make room, nor for being idle, until it is unpinned. False when that could
    /// not be written down, so that it ends with the server.
    [[nodiscard]] boost::asio::awaitable<Result<bool>> pin(std::string name, bool pinned);

    /// What to warm at the start, most important first: the models of MODELS in their order and those
    /// that models.toml pins; without MODELS the pinned ones first, then those that were warm when the server last ran,
    /// most used first; else the default one. As many as may be warm at once.
    [[nodiscard]] std::vector<std::string> startup_models() const;
    /// Are these known before the catalogue is complete?
    [[nodiscard]] bool knows_startup_models() const;
    /// As the catalogue has it; `name` as it is when there is none.
    [[nodiscard]] std::string name_of(const std::string& name) const;

    /// Ends every engine: running requests finish until `deadline`, then are cut. No acquire() succeeds from now on.
    [[nodiscard]] boost::asio::awaitable<void> drain(std::chrono::milliseconds deadline);

    /// Every name of the catalogue, by name, and what is in use though no name stands for it any more.
    [[nodiscard]] std::vector<ModelStatus> status() const;
    [[nodiscard]] bool any_warm() const;
    [[nodiscard]] std::size_t open_requests() const;
    [[nodiscard]] placement::Room room() const;  ///< for all models together
    [[nodiscard]] std::vector<StandbyStatus> standby() const;

  private:
    std::shared_ptr<WarmSet> warm_set_;
    std::shared_ptr<upstream::Upstreams> upstreams_;
    std::vector<std::string> configured_;  // models of MODELS
};

}  // namespace sutazai::models
