#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/engine_stats.h"
#include "ipc/engine_options.h"
#include "models/memory_estimate.h"

/// What can be seen of the warm set. Plain values.
namespace sutazai::models {

enum class ModelState : std::uint8_t {
    kCold,
    kLoading,
    kWarming,  ///< the weights are there; the warm-up runs
    kWarm,
    kDraining,  ///< gives no more leases, or is ending
    kFailed,
    // Of models that another server has.
    kRemote,
    kUnreachable
};
[[nodiscard]] const char* to_string(ModelState state);

/// How often a model has come and gone since the server started.
struct ModelMoves {
    std::uint64_t loads = 0;
    std::uint64_t failed_loads = 0;
    std::uint64_t evictions = 0;           ///< to make room for another
    std::uint64_t unloads = 0;             ///< idle for its keep-alive, or by order
    std::chrono::milliseconds loading{0};  ///< all the loads together
};

/// Who has the model, where it is not here.
struct RemoteStatus {
    std::string upstream;  ///< its name in UPSTREAMS; empty: models.toml says where
    std::string kind;      ///< what it speaks; where it is only the log says
    std::string model;     ///< as it is called there
};

struct ModelStatus {
    std::string name;
    /// The name under which the figures of its engine count, where several names share one; empty: this one.
    std::string alias_of = {};
    ModelState state = ModelState::kCold;
    float load_progress = 0;  ///< 0 to 1 while loading
    std::string last_error;   ///< why the last load failed or the engine ended, or what is wrong with what it computes;
                              ///< empty when all is well
    /// What is to be said of its file: "changed on disk" while a warm model has weights that the file no longer has,
    /// and why they are not replaced if they are not; a missing part. Empty when all is well.
    std::string file_note;
    std::uint64_t crashes = 0;  ///< engines that ended without having been told to, since the server started
    std::string last_crash;     ///< why the last of them did
    ModelMoves moves = {};
    std::uint64_t requests = 0;    ///< leases given out since the server started
    std::uint64_t found_warm = 0;  ///< of those, how many found the model warm
    std::size_t in_use = 0;        ///< leases that are out
    std::size_t waiting = 0;       ///< requests and warm-ups that wait for it to be warm
    int pid = 0;                   ///< of the engine process; 0 when there is none
    ipc::ModelInfo info;           ///< meaningful when warm
    EngineStats stats;             ///< counters since the server started, over all of the model's engines

    MemoryEstimate estimate;                 ///< from the file; all 0 before it was first looked at
    std::uint64_t expected_bytes = 0;        ///< the same, corrected by what was measured before
    std::uint64_t measured_bytes = 0;        ///< of the running engine, KV that it has yet to touch included; 0: none
    std::uint64_t paid_by_others = 0;        ///< of that: weights in common that count for another engine
    std::chrono::milliseconds load_time{0};  ///< of the last load; 0 when there was none
    bool pinned = false;
    std::optional<RemoteStatus> remote = {};  ///< then it takes no memory here, and is never warm
    std::optional<std::chrono::system_clock::time_point> last_used;
    std::optional<std::chrono::system_clock::time_point> unload_at;  ///< of an idle one with a keep-alive
};

/// An engine process that stands by for the next cold model.
struct StandbyStatus {
    int pid = 0;
    std::uint64_t bytes = 0;  ///< what it has in memory, the binary's pages included
};

/// The specification's figures of the whole cache, and what goes with them.
struct CacheSummary {
    std::size_t total_models = 0;
    std::size_t warmed_models = 0;
    double hit_rate_percent = 0;         ///< of the requests, those that found their model warm
    double prefix_hit_rate_percent = 0;  ///< of the prompt tokens, those whose KV was there
    double total_size_mb = 0;            ///< MiB that warm engines take, measured where that is known
};
[[nodiscard]] CacheSummary summarize(std::span<const ModelStatus> models);

}  // namespace sutazai::models
