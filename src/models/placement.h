#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Who has a place, and who makes room for whom. Pure: the time is an argument, and what is decided is carried out
/// elsewhere.
namespace sutazai::models::placement {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

enum class Phase : std::uint8_t {
    kCold,     ///< has no place
    kLoading,  ///< has one; cannot be evicted
    kWarm,     ///< takes requests
    kLeaving,  ///< takes no more requests; is evicted when the last of them ends
};

/// One model. Of several with equal numbers the first one in the list goes first.
struct Model {
    Phase phase = Phase::kCold;
    std::size_t n_waiting = 0;   ///< requests and warm-ups that wait for it to be loaded; none wait for a warm one
    Time waiting_since;          ///< the first of those
    bool may_displace = true;    ///< false: all who wait are content with room that is free
    std::size_t n_leases = 0;    ///< requests that use it
    std::size_t n_admitted = 0;  ///< leases given since the first who waits for a place began to, or since its load
    bool pinned = false;         ///< never evicted to make room or for being idle
    bool dismissed = false;      ///< leaving because somebody ordered it, not to make room
    /// Leaving for another file of its own: what an engine of that takes. Those who wait are content with it.
    std::optional<std::uint64_t> next_bytes;
    double score = 0;               ///< the lowest one makes room first
    std::uint64_t bytes = 0;        ///< what it takes, or would take
    Time loaded_at;                 ///< of a warm one
    Time idle_since;                ///< of a warm one without leases
    std::optional<Time> unload_at;  ///< of a warm one without leases: its keep-alive
    bool displaced = false;         ///< cold only because it made room: it may come back by itself
    Clock::duration load_time{0};   ///< what a load takes, as far as known
};

struct Room {
    std::size_t places = 0;
    std::uint64_t bytes = 0;
};

struct Rules {
    Room room;  ///< of all models together
    /// Collation: a busy model that is to make room goes on taking requests for the time of two loads, but within these
    /// limits, since the other began to wait or since it was loaded itself, whichever is later; or until it has taken
    /// so many of them. So what can be served without a swap is served before it, and models that share a place spend
    /// most of their time serving. An idle model makes room at once.
    std::chrono::milliseconds least_collation{100};
    std::chrono::milliseconds most_collation{2000};
    std::size_t collation_requests = 64;
    /// A displaced model comes back when nobody wants anything, in place of idle ones that together are so many times
    /// less asked for, which have been idle for so long.
    double restore_factor = 1.25;
    std::chrono::milliseconds restore_after{100};
};

struct Action {
    enum class Kind : std::uint8_t {
        kLoad,     ///< start its engine
        kSucceed,  ///< start the engine of its other file beside the one that leaves, which gets no more leases
        kEvict,    ///< end its engine, to make room: it has no leases
        kUnload,   ///< the same, because its keep-alive is over, or somebody dismissed it
        kLeave,    ///< give no more leases
        kStay,     ///< give leases again
        kRefuse    ///< tell those who wait that there is no room
    };
    Kind kind;
    std::size_t model;  ///< index in the list

    bool operator==(const Action&) const = default;
};

struct Plan {
    std::vector<Action> actions;     ///< all can be carried out now, in this order
    std::optional<Time> look_again;  ///< nothing happens before that unless something changes
};

/// `ending`: what engines take that have been told to end. Never starts a load that does not fit beside all that is
/// there; so call it again when an engine has ended. Models wait in the order of waiting_since, and none overtakes
/// another that has begun to make others leave, so that a large one is not kept out by small ones.
[[nodiscard]] Plan plan(std::span<const Model> models, const Room& ending, const Rules& rules, Time now);

}  // namespace sutazai::models::placement
