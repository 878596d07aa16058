#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "models/placement.h"
#include "models/popularity.h"

/// A warm set in simulated time: real decisions, engines that only take time. For tests only.
namespace sutazai::models::simulation {

using placement::Clock;
using placement::Time;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Arrival {
    Milliseconds at{0};
    std::size_t model = 0;
    Milliseconds service{0};
    bool new_file = false;  ///< the model's file is another one than the request before had
};

struct Outcome {
    std::size_t requests = 0;
    std::size_t found_warm = 0;
    std::size_t loads = 0;
    std::size_t beside = 0;           ///< of those, beside an engine of the same model that had another file
    std::vector<Milliseconds> waits;  ///< of each request, until it has its lease; in the order of arrival
    Milliseconds ended{0};

    [[nodiscard]] double warm_share() const { return static_cast<double>(found_warm) / static_cast<double>(requests); }
    [[nodiscard]] Milliseconds wait(double share) const {
        std::vector<Milliseconds> sorted = waits;
        std::ranges::sort(sorted);
        return sorted.at(static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1)));
    }
};

struct ModelTimes {
    Milliseconds load{0};
    Milliseconds end{0};
    std::uint64_t bytes = 1;
};

enum class Policy : std::uint8_t { kPopularity, kLeastRecentlyUsed };

class Simulation {
  public:
    Simulation(std::vector<ModelTimes> models, placement::Rules rules, Policy policy = Policy::kPopularity)
        : times_(std::move(models)), rules_(rules), policy_(policy), models_(times_.size()) {}

    /// Loads it before the first arrival, as a warm-up at start does.
    void begin_warm(std::size_t i) {
        models_[i].phase = placement::Phase::kWarm;
        models_[i].idle_since = to_time(Milliseconds(0));
    }

    Outcome run(const std::vector<Arrival>& arrivals) {
        outcome_.requests = arrivals.size();
        outcome_.waits.resize(arrivals.size(), Milliseconds(-1));
        for (std::size_t i = 0; i < arrivals.size(); ++i)
            at(arrivals[i].at, [this, &arrivals, i] { arrive(arrivals[i], i); });
        while (!events_.empty()) {
            Event event = events_.top();
            events_.pop();
            now_ = event.at;
            if (now_ > Milliseconds(1e9)) throw std::runtime_error("the simulation never ends");
            event.what();
            arrange();
            check();
        }
        outcome_.ended = now_;
        for (const Milliseconds wait : outcome_.waits) {
            if (wait < Milliseconds(0)) throw std::runtime_error("a request was never served");
        }
        return std::move(outcome_);
    }

  private:
    struct State {
        placement::Phase phase = placement::Phase::kCold;
        std::deque<std::pair<std::size_t, Milliseconds>> waiting;  // index of the request, its service
        Milliseconds waiting_since{0};
        std::shared_ptr<std::size_t> n_leases = std::make_shared<std::size_t>(0);  // of its engine
        std::size_t n_admitted = 0;
        bool displaced = false, stale = false;
        Popularity popularity;
        std::uint64_t last_used = 0;
        Time loaded_at, idle_since;
    };
    struct Event {
        Milliseconds at;
        std::uint64_t number;
        std::function<void()> what;
        bool operator<(const Event& other) const { return at != other.at ? at > other.at : number > other.number; }
    };

    static Time to_time(Milliseconds at) {
        return Time{} + std::chrono::hours(1) + std::chrono::duration_cast<Clock::duration>(at);
    }
    void at(Milliseconds when, std::function<void()> what) { events_.push({when, n_events_++, std::move(what)}); }

    void arrive(const Arrival& arrival, std::size_t request) {
        State& model = models_[arrival.model];
        model.popularity.count(++n_requests_);
        model.last_used = n_requests_;
        arrived_[request] = now_;
        if (arrival.new_file && (model.phase == placement::Phase::kWarm || model.phase == placement::Phase::kLeaving)) {
            model.phase = placement::Phase::kLeaving;
            model.stale = true;
        }
        if (model.phase == placement::Phase::kWarm) {
            ++outcome_.found_warm;
            serve(arrival.model, request, arrival.service);
            return;
        }
        if (model.waiting.empty()) {
            model.waiting_since = now_;
            if (std::ranges::none_of(models_, [](const State& m) { return !m.waiting.empty(); })) {
                for (State& m : models_) m.n_admitted = 0;
            }
        }
        model.waiting.emplace_back(request, arrival.service);
    }

    void serve(std::size_t i, std::size_t request, Milliseconds service) {
        outcome_.waits[request] = now_ - arrived_[request];
        State& model = models_[i];
        ++*model.n_leases;
        ++model.n_admitted;
        at(now_ + service, [this, i, n_leases = model.n_leases] {
            if (--*n_leases > 0) return;
            if (models_[i].n_leases == n_leases) {
                models_[i].idle_since = to_time(now_);
            } else {
                end_later(i);
            }
        });
    }

    void begin_end(std::size_t i) {
        ++ending_.places;
        ending_.bytes += times_[i].bytes;
    }
    void end_later(std::size_t i) {
        at(now_ + times_[i].end, [this, i] {
            --ending_.places;
            ending_.bytes -= times_[i].bytes;
        });
    }
    void load(std::size_t i) {
        models_[i].phase = placement::Phase::kLoading;
        models_[i].displaced = models_[i].stale = false;
        ++outcome_.loads;
        at(now_ + times_[i].load, [this, i] {
            models_[i].phase = placement::Phase::kWarm;
            models_[i].loaded_at = models_[i].idle_since = to_time(now_);
            give_leases(i);
            models_[i].n_admitted = 0;
        });
    }

    void give_leases(std::size_t i) {
        for (auto [request, service] : std::exchange(models_[i].waiting, {})) serve(i, request, service);
    }

    void arrange() {
        for (;;) {
            std::vector<placement::Model> view;
            for (std::size_t i = 0; i < models_.size(); ++i) {
                const State& model = models_[i];
                view.push_back({.phase = model.phase,
                                .n_waiting = model.waiting.size(),
                                .waiting_since = to_time(model.waiting_since),
                                .n_leases = *model.n_leases,
                                .n_admitted = model.n_admitted,
                                .dismissed = model.stale,
                                .next_bytes = model.stale ? std::optional(times_[i].bytes) : std::nullopt,
                                .score = policy_ == Policy::kPopularity ? model.popularity.score(n_requests_)
                                                                        : static_cast<double>(model.last_used),
                                .bytes = times_[i].bytes,
                                .loaded_at = model.loaded_at,
                                .idle_since = model.idle_since,
                                .displaced = model.displaced && policy_ == Policy::kPopularity,
                                .load_time = std::chrono::duration_cast<Clock::duration>(times_[i].load)});
            }
            const placement::Plan decided = placement::plan(view, ending_, rules_, to_time(now_));
            for (const placement::Action& action : decided.actions) carry_out(action);
            if (decided.actions.empty()) {
                if (decided.look_again) look_again(*decided.look_again);
                return;
            }
        }
    }

    void look_again(Time when) {
        const Milliseconds at_time = when - to_time(Milliseconds(0)) + Milliseconds(0.001);
        if (at_time <= now_) throw std::runtime_error("a plan waits for the past");
        at(at_time, [] {});
    }

    void carry_out(const placement::Action& action) {
        using Kind = placement::Action::Kind;
        const std::size_t i = action.model;
        State& model = models_[i];
        switch (action.kind) {
            case Kind::kLoad: load(i); break;
            case Kind::kSucceed:
                if (*model.n_leases == 0) throw std::runtime_error("nobody needs the old engine");
                ++outcome_.beside;
                begin_end(i);
                model.n_leases = std::make_shared<std::size_t>(0);
                load(i);
                break;
            case Kind::kEvict:
            case Kind::kUnload:
                if (*model.n_leases > 0) throw std::runtime_error("a busy model was evicted");
                model.phase = placement::Phase::kCold;
                model.displaced = !model.stale;
                model.stale = false;
                begin_end(i);
                end_later(i);
                break;
            case Kind::kLeave: model.phase = placement::Phase::kLeaving; break;
            case Kind::kStay:
                if (model.stale) throw std::runtime_error("old weights are served");
                model.phase = placement::Phase::kWarm;
                give_leases(i);
                break;
            case Kind::kRefuse: throw std::runtime_error("nobody here is to be refused");
        }
    }

    void check() const {
        placement::Room used = ending_;
        for (std::size_t i = 0; i < models_.size(); ++i) {
            if (models_[i].phase == placement::Phase::kCold) continue;
            ++used.places;
            used.bytes += times_[i].bytes;
        }
        if (used.places > rules_.room.places || used.bytes > rules_.room.bytes) {
            throw std::runtime_error("more is taken than there is");
        }
    }

    std::vector<ModelTimes> times_;
    placement::Rules rules_;
    Policy policy_;
    std::vector<State> models_;
    placement::Room ending_;
    std::priority_queue<Event> events_;
    std::map<std::size_t, Milliseconds> arrived_;
    std::uint64_t n_events_ = 0;
    std::uint64_t n_requests_ = 0;
    Milliseconds now_{0};
    Outcome outcome_;
};

/// Poisson arrivals; the i-th model is asked for in proportion to 1 / (i + 1)^exponent.
inline std::vector<Arrival> zipf(unsigned seed, double exponent, std::size_t n_models, std::size_t n_requests,
                                 Milliseconds mean_gap, Milliseconds mean_service) {
    std::mt19937 random(seed);
    std::vector<double> weights;
    for (std::size_t i = 0; i < n_models; ++i) weights.push_back(1 / std::pow(static_cast<double>(i + 1), exponent));
    std::discrete_distribution<std::size_t> model(weights.begin(), weights.end());
    std::exponential_distribution<double> gap(1 / mean_gap.count());
    std::exponential_distribution<double> service(1 / mean_service.count());
    std::vector<Arrival> out;
    Milliseconds at{0};
    for (std::size_t i = 0; i < n_requests; ++i) {
        at += Milliseconds(gap(random));
        out.push_back({at, model(random), Milliseconds(service(random))});
    }
    return out;
}

/// The most requests, served one after the other, that can find their model among `places` warm ones, by who knows the
/// future: it evicts what is asked for again last (L. A. Belady, IBM Systems Journal 5, 1966). `warm` at the beginning.
inline std::size_t belady(const std::vector<Arrival>& arrivals, std::size_t places, std::set<std::size_t> warm = {}) {
    std::size_t found = 0;
    for (std::size_t now = 0; now < arrivals.size(); ++now) {
        const std::size_t model = arrivals[now].model;
        if (warm.contains(model)) {
            ++found;
            continue;
        }
        if (warm.size() == places) {
            const auto next_use = [&](std::size_t candidate) {
                const auto next = std::find_if(arrivals.begin() + static_cast<std::ptrdiff_t>(now), arrivals.end(),
                                               [&](const Arrival& a) { return a.model == candidate; });
                return next - arrivals.begin();
            };
            warm.erase(std::ranges::max_element(warm, std::less(), next_use));
        }
        warm.insert(model);
    }
    return found;
}

}  // namespace sutazai::models::simulation
