#include "models/placement.h"

#include <algorithm>
#include <numeric>

namespace sutazai::models::placement {
namespace {

/// A sum that stops at the largest value.
std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
    std::uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

class Planner {
  public:
    Planner(std::span<const Model> models, const Room& ending, const Rules& rules, Time now)
        : models_(models), rules_(rules), now_(now), used_(ending), chosen_(models.size(), false) {
        for (const Model& model : models) {
            if (model.phase != Phase::kCold) take(used_, model);
        }
        promised_ = used_;
        give_back(promised_, ending);
    }

    Plan run() {
        dismiss();
        unload_idle();
        place_those_who_wait();
        if (!someone_waits_) shrink();
        carry_out();
        if (!someone_waits_ && plan_.actions.empty()) restore();
        return std::move(plan_);
    }

  private:
    using Kind = Action::Kind;
    using Indexes = std::vector<std::size_t>;

    static void take(Room& room, const Model& model) {
        ++room.places;
        room.bytes = plus(room.bytes, model.bytes);
    }
    static void give_back(Room& room, const Room& what) {
        room.places -= std::min(room.places, what.places);
        room.bytes -= std::min(room.bytes, what.bytes);
    }
    [[nodiscard]] bool fits(const Room& used, const Model& model) const {
        return used.places < rules_.room.places && plus(used.bytes, model.bytes) <= rules_.room.bytes;
    }
    [[nodiscard]] bool is_idle(std::size_t i) const { return models_[i].n_leases == 0; }
    [[nodiscard]] bool has_engine(std::size_t i) const {
        return models_[i].phase == Phase::kWarm || models_[i].phase == Phase::kLeaving;
    }

    void act(Kind kind, std::size_t i) { plan_.actions.push_back({kind, i}); }
    void look_again(Time when) { plan_.look_again = std::min(plan_.look_again.value_or(when), when); }

    /// It makes room, now or when its leases end.
    void choose(std::size_t i) {
        chosen_[i] = true;
        give_back(promised_, {1, models_[i].bytes});
    }

    /// Those that were told to go.
    void dismiss() {
        for (std::size_t i = 0; i < models_.size(); ++i) {
            if (models_[i].phase == Phase::kLeaving && models_[i].dismissed) choose(i);
        }
    }

    /// Running requests need the old one, and nobody else is to leave for the new one: without room beside it, it
    /// waits.
    [[nodiscard]] bool has_successor(std::size_t i) const {
        return models_[i].phase == Phase::kLeaving && models_[i].next_bytes && !is_idle(i);
    }
    void succeed(std::size_t i) {
        Model next = models_[i];
        next.bytes = *next.next_bytes;
        if (someone_waits_ || !fits(used_, next)) return;
        act(Kind::kSucceed, i);
        take(used_, next);
        take(promised_, next);
    }

    void place_those_who_wait() {
        Indexes waiting;
        for (std::size_t i = 0; i < models_.size(); ++i) {
            if (models_[i].n_waiting > 0 && (models_[i].phase == Phase::kCold || has_successor(i)))
                waiting.push_back(i);
        }
        std::ranges::stable_sort(waiting, std::less(), [&](std::size_t i) { return models_[i].waiting_since; });
        for (const std::size_t i : waiting) {
            const Model& model = models_[i];
            if (has_successor(i)) {
                succeed(i);
            } else if (!someone_waits_ && fits(used_, model)) {
                act(Kind::kLoad, i);
                take(used_, model);
                take(promised_, model);
            } else if (!model.may_displace) {
                act(Kind::kRefuse, i);
            } else {
                someone_waits_ = true;
                if (!fits(promised_, model)) make_room_for(model);
                take(promised_, model);
            }
        }
    }

    /// Who can be made to leave: first those that were before, or two could take turns in it and neither ever leave;
    /// then the least asked for.
    [[nodiscard]] Indexes candidates() const {
        Indexes order;
        for (std::size_t i = 0; i < models_.size(); ++i) {
            if (has_engine(i) && !models_[i].pinned && !chosen_[i]) order.push_back(i);
        }
        std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
            const bool a_leaves = models_[a].phase == Phase::kLeaving;
            const bool b_leaves = models_[b].phase == Phase::kLeaving;
            return a_leaves != b_leaves ? a_leaves : models_[a].score < models_[b].score;
        });
        return order;
    }

    /// The first ones of `order` that together make room for `model` within `used`; empty when all of them cannot.
    [[nodiscard]] Indexes victims_for(const Model& model, Room used, const Indexes& order) const {
        Indexes victims;
        for (const std::size_t i : order) {
            if (fits(used, model)) break;
            victims.push_back(i);
            give_back(used, {1, models_[i].bytes});
        }
        if (!fits(used, model)) return {};
        // A small one may have been taken before the large one that suffices.
        for (std::size_t n = victims.size(); n-- > 0;) {
            Room without = used;
            take(without, models_[victims[n]]);
            if (!fits(without, model)) continue;
            used = without;
            victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(n));
        }
        return victims;
    }

    void make_room_for(const Model& model) {
        const Indexes order = candidates();
        Indexes victims = victims_for(model, promised_, order);
        if (!std::ranges::all_of(victims, [&](std::size_t i) { return is_idle(i); })) {
            Indexes idle = order;
            std::erase_if(idle, [&](std::size_t i) { return !is_idle(i); });
            const Indexes idle_victims = victims_for(model, promised_, idle);
            const std::optional<Time> until = goes_on_until(model, victims);
            if (!idle_victims.empty() && (!until || cost(idle_victims) <= rules_.restore_factor * cost(victims))) {
                victims = idle_victims;
            } else if (until) {
                return look_again(*until);
            }
        }
        for (const std::size_t i : victims) choose(i);
    }

    /// How long `victims` go on taking requests though `model` waits; nothing when they do not.
    [[nodiscard]] std::optional<Time> goes_on_until(const Model& model, const Indexes& victims) const {
        Time since = model.waiting_since;
        for (const std::size_t i : victims) {
            if (models_[i].n_admitted >= rules_.collation_requests) return std::nullopt;
            since = std::max(since, models_[i].loaded_at);
        }
        const Time until =
            since + std::clamp<Clock::duration>(2 * model.load_time, rules_.least_collation, rules_.most_collation);
        return now_ < until ? std::optional(until) : std::nullopt;
    }

    [[nodiscard]] double cost(const Indexes& victims) const {
        return std::accumulate(victims.begin(), victims.end(), 0.0,
                               [&](double sum, std::size_t i) { return sum + models_[i].score; });
    }

    void unload_idle() {
        for (std::size_t i = 0; i < models_.size(); ++i) {
            const Model& model = models_[i];
            if (model.phase != Phase::kWarm || model.pinned || chosen_[i] || !is_idle(i) || !model.unload_at) continue;
            if (*model.unload_at > now_) {
                look_again(*model.unload_at);
            } else {
                choose(i);
                act(Kind::kUnload, i);
            }
        }
    }

    /// A model may have turned out larger than it was thought. One may stay however large it is.
    void shrink() {
        for (const std::size_t i : candidates()) {
            if (promised_.bytes <= rules_.room.bytes || promised_.places <= 1) return;
            if (is_idle(i)) choose(i);
        }
    }

    void carry_out() {
        for (std::size_t i = 0; i < models_.size(); ++i) {
            const Model& model = models_[i];
            if (!has_engine(i)) continue;
            if (!chosen_[i]) {
                if (model.phase == Phase::kLeaving) act(Kind::kStay, i);
            } else if (is_idle(i)) {
                const Action unload{Kind::kUnload, i};
                if (std::ranges::find(plan_.actions, unload) == plan_.actions.end()) {
                    act(model.dismissed ? Kind::kUnload : Kind::kEvict, i);
                }
            } else if (model.phase == Phase::kWarm) {
                act(Kind::kLeave, i);
            }
        }
    }

    void restore() {
        std::optional<std::size_t> best;
        for (std::size_t i = 0; i < models_.size(); ++i) {
            const Model& model = models_[i];
            if (model.n_leases > 0 || model.phase == Phase::kLoading) return;
            const bool may_come_back = model.phase == Phase::kCold && model.displaced && model.score > 0;
            if (may_come_back && (!best || model.score > models_[*best].score)) best = i;
        }
        if (!best) return;
        const Model& model = models_[*best];
        if (fits(used_, model)) return act(Kind::kLoad, *best);
        if (fits(promised_, model)) return;  // as soon as somebody has ended
        const Indexes victims = victims_for(model, promised_, candidates());
        if (victims.empty() || model.score < rules_.restore_factor * cost(victims)) return;
        Time since = Time::min();
        for (const std::size_t i : victims) since = std::max(since, models_[i].idle_since);
        const Time settled = since + rules_.restore_after;
        if (now_ < settled) return look_again(settled);
        for (const std::size_t i : victims) act(Kind::kEvict, i);
    }

    std::span<const Model> models_;
    const Rules& rules_;
    Time now_;
    Room used_;                 // by all that has a process or will have
    Room promised_;             // what remains of that when all chosen ones have left, and those who wait have come
    std::vector<bool> chosen_;  // to leave
    bool someone_waits_ = false;
    Plan plan_;
};

}  // namespace

Plan plan(std::span<const Model> models, const Room& ending, const Rules& rules, Time now) {
    return Planner(models, ending, rules, now).run();
}

}  // namespace sutazai::models::placement
