#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "ipc/engine_client.h"

/// Which models are warm. Lives on the server's one I/O thread.
namespace sutazai::models {

enum class ModelState : std::uint8_t { kCold, kLoading, kWarm, kDraining, kFailed };
[[nodiscard]] const char* to_string(ModelState state);

/// A request's hold on a warm model: while one is out the model is not evicted. Move-only; give it back by destroying
/// it.
class Lease {
  public:
    struct Slot;  // one engine process
    Lease() = default;
    explicit Lease(std::shared_ptr<Slot> slot);
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) noexcept;
    ~Lease();

    [[nodiscard]] ipc::EngineClient& engine() const;
    [[nodiscard]] const std::string& model() const;  ///< the catalogue's name, not the alias that was asked for

  private:
    std::shared_ptr<Slot> slot_;
};

struct ModelStatus {
    std::string name;
    ModelState state = ModelState::kCold;
    float load_progress = 0;       ///< 0 to 1 while loading
    std::string last_error;        ///< why the last load failed or the engine ended; empty when all is well
    std::uint64_t requests = 0;    ///< leases given out since the server started
    std::uint64_t found_warm = 0;  ///< of those, how many found the model warm
    int pid = 0;                   ///< of the engine process; 0 when there is none
    ipc::ModelInfo info;           ///< meaningful when warm
    ipc::EngineStats stats;
};

/// Times that are no settings, and what tests need to be quick.
struct Tuning {
    std::chrono::milliseconds first_backoff{500};  ///< after the first failed load or second crash; doubles each time
    std::chrono::milliseconds longest_backoff{30'000};
    std::chrono::milliseconds stable_after{30'000};              ///< a crash after this long counts as the first one
    std::chrono::milliseconds eviction_deadline{5'000};          ///< for an idle engine to end itself
    std::optional<std::chrono::milliseconds> load_timeout = {};  ///< instead of the setting's
    std::vector<std::string> engine_arguments = {};              ///< added to the engine's command line
};

/// The warm set: loads on demand (concurrent requests for a cold model cause one load), keeps at most MODEL_CACHE_SIZE
/// models, evicts the least recently used idle one by ending its process, restarts what crashed with a back-off.
class AdvancedModelManager {
  public:
    /// `catalog` outlives the manager. Engines live on the executor of the coroutine that first asked for them.
    AdvancedModelManager(const config::Settings& settings, const catalog::Catalog& catalog, std::string executable,
                         Tuning tuning = {});
    AdvancedModelManager(const AdvancedModelManager&) = delete;
    AdvancedModelManager& operator=(const AdvancedModelManager&) = delete;
    /// Ends all engines that no lease holds; the others end with their last lease.
    ~AdvancedModelManager();

    /// A hold on `name`, loading it first if need be. Errors: kNotFound, kLoadFailed (with the engine's reason; refused
    /// at once with retry_after_s while a failed load backs off), kUnavailable (draining, every warm model is busy and
    /// none can make room in time, or the engine crashes again and again). A cancelled wait does not end the load.
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> acquire(std::string name);

    /// Loads `name` if it is cold, without holding it.
    [[nodiscard]] boost::asio::awaitable<Result<void>> warm(std::string name);

    /// Ends every engine: running requests finish until `deadline`, then are cut. No acquire() succeeds from now on.
    [[nodiscard]] boost::asio::awaitable<void> drain(std::chrono::milliseconds deadline);

    [[nodiscard]] std::vector<ModelStatus> status() const;  ///< every model of the catalogue, by name
    [[nodiscard]] bool any_warm() const;
    [[nodiscard]] std::size_t open_requests() const;

  private:
    std::shared_ptr<class WarmSet> warm_set_;
};

}  // namespace sutazai::models
