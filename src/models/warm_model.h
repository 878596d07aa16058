#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/engine_stats.h"
#include "base/error.h"
#include "base/model_parts.h"
#include "catalog/model_profile.h"
#include "ipc/signal.h"
#include "models/backoff.h"
#include "models/engine_slot.h"
#include "models/lease.h"
#include "models/model_memory.h"
#include "models/model_status.h"
#include "models/placement.h"
#include "models/popularity.h"

namespace sutazai::models {

enum class Purpose : std::uint8_t {
    kRequest,  ///< only this one shows in the counters
    kWarmUp,
    kModestWarmUp  ///< takes nobody's place
};
struct Asking {
    Purpose purpose;
    std::optional<KeepAlive> keep_alive;
    std::uint32_t context_tokens = 0;  ///< that are to fit, where there may be so many; 0: whatever there is
    AskedModel model = {};

    /// How long the model stays warm then; `otherwise` where nobody says anything.
    [[nodiscard]] KeepAlive keep_alive_or(KeepAlive otherwise) const {
        if (!keep_alive && model.profile) return model.profile->keep_alive.value_or(otherwise);
        return keep_alive.value_or(otherwise);
    }
};

/// Somebody who waits for a lease.
struct Waiter {
    Asking asking;
    std::optional<Result<Lease>> result;
    ipc::Signal ready;
};

/// All that is known of one model since it was first asked for: of its weights, loaded in one way. Several names may
/// stand for it.
struct WarmModel {
    using Clock = placement::Clock;
    WarmModel(std::string its_name, Backoff backoff) : name(std::move(its_name)), failures{backoff} {}

    std::string name;              // by which it was first asked for
    std::string key;               // catalog::engine_key()
    catalog::LoadChoices choices;  // which are part of that; requests may have raised its least context since
    std::uint64_t projector_bytes = 0;
    std::uint64_t adapter_bytes = 0;   // the most that a name of it has
    std::string load_hint;             // a sentence for whoever hears that it does not load
    std::string renderer;              // EngineOptions::renderer
    bool replaced = false;             // no name stands for it any more
    std::shared_ptr<EngineSlot> slot;  // when warm
    // Engines that have been told to end, or are to when they are idle.
    std::vector<std::shared_ptr<EngineSlot>> ending;
    bool pinned = false;                               // by order
    std::set<std::string> pinned_by;                   // names that models.toml pins
    std::optional<KeepAlive> keep_alive;               // as models.toml has it for the name that was asked for last
    std::optional<Clock::time_point> displaced_until;  // it made room; else it would be warm until then
    EngineStats past;                                  // counters of engines that have ended
    ModelMemory memory;

    struct File {
        std::string path;  // with what follows as of the last look; empty before the first one
        std::uint64_t bytes = 0;
        FileStamps stamps;                 // empty: what the file holds is not known
        FileStamps bad_stamps;             // of one that cannot be used
        std::string architecture;          // as the file has it
        std::uint32_t vocabulary = 0;      // tokens
        std::uint32_t context_tokens = 0;  // for it to be loaded with
        std::string note;                  // what is to be said of the file of a warm model; empty when all is well
        std::uint64_t shared_bytes = 0;    // of its weights, what an engine that is there has in memory already
        bool may_share = true;             // false: it was to start from another engine's weights and did not
        bool looking = false;              // at the file
        ipc::Signal looked;
    } file;

    struct Load {
        bool running = false;
        ipc::LoadProgress progress;
        Clock::time_point since;
        FileStamps stamps;  // of what is being loaded
        boost::asio::cancellation_signal cancel;
        Clock::duration took{0};  // the last one
    } load;

    struct Failures {
        Backoff backoff;
        std::optional<Error> last = {};
        std::uint64_t crashes = 0;
        std::string last_crash = {};
    } failures;

    ModelMoves moves;

    struct Use {
        Popularity popularity;
        std::optional<std::chrono::system_clock::time_point> last;
        std::uint64_t requests = 0;
        std::uint64_t found_warm = 0;
    } use;

    std::vector<Waiter*> waiting;  // for the load, or for a place
    Clock::time_point waiting_since;
    std::size_t n_admitted = 0;  // placement::Model says since when

    [[nodiscard]] bool is_pinned() const { return pinned || !pinned_by.empty(); }
    [[nodiscard]] ModelState state() const;
    [[nodiscard]] std::size_t n_waiting() const;  ///< of `waiting`, those without a result
    /// What decides on its place. `n_requests`: of all models so far.
    [[nodiscard]] placement::Model seen(std::uint64_t n_requests, Clock::time_point now) const;

    /// A lease on the warm model; `keep_alive` is for requests that do not say.
    [[nodiscard]] Lease grant(const Asking& asking, KeepAlive keep_alive);
    void grant_all(KeepAlive keep_alive);  ///< to those who wait
    void refuse_all(const Error& error);

    // What becomes of its engine.
    void load_begins();
    /// `otherwise`: how long it stays warm where models.toml says nothing, until a request does.
    void loaded(ipc::OwnedEngine engine, KeepAlive otherwise);
    /// Returns what to tell those who asked.
    Error load_failed(Error error);
    /// What the engine of the warm model takes, at most once a second.
    void measure();
    /// The engine has ended by itself. Refuses those who wait if it may not be started again yet.
    void crashed(const std::string& why);
    /// It is not warm any more, and its engine is being ended on purpose; ended(), when that is done.
    [[nodiscard]] std::shared_ptr<EngineSlot> end_begins();
    void ended(const std::shared_ptr<EngineSlot>& slot);

  private:
    void over(EngineSlot& slot);
};
using WarmModels = std::map<std::string, std::unique_ptr<WarmModel>>;  // by key

}  // namespace sutazai::models
