#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/engine_client.h"
#include "ipc/signal.h"
#include "models/backoff.h"
#include "models/model_manager.h"

namespace sutazai::models {

/// One engine process that has loaded its model. Shared by the warm set and the leases on it; who is last ends it.
struct Lease::Slot {
    std::string model;
    std::unique_ptr<ipc::EngineClient> engine;
    std::weak_ptr<WarmSet> owner;
    std::size_t n_leases = 0;
    std::uint64_t last_used = 0;  // ticks of the warm set
    bool leaving = false;         // no new leases; it is evicted when the last one ends
    std::chrono::steady_clock::time_point loaded_at;
    ipc::Signal idle;
};

/// What AdvancedModelManager does. A place is what one engine process takes, from its start until it is gone; there are
/// as many as warm models are allowed. A model without a place waits for one in a first-in, first-out queue; while it
/// waits, so many warm models are made to leave as places are missing: idle ones at once, the least recently used
/// first; else busy ones as soon as their leases end, and who asks for one of those meanwhile waits in the queue, too.
class WarmSet : public std::enable_shared_from_this<WarmSet> {
  public:
    using Clock = ipc::Signal::Clock;

    enum class Purpose : std::uint8_t { kRequest, kWarm };  // only the first shows in the counters

    WarmSet(const config::Settings& settings, const catalog::Catalog& catalog, std::string executable, Tuning tuning);

    [[nodiscard]] static boost::asio::awaitable<Result<Lease>> acquire(std::shared_ptr<WarmSet> self, std::string name,
                                                                       Purpose purpose);
    [[nodiscard]] static boost::asio::awaitable<void> drain(std::shared_ptr<WarmSet> self, Clock::time_point deadline);
    [[nodiscard]] std::vector<ModelStatus> status() const;
    [[nodiscard]] bool any_warm() const;
    [[nodiscard]] std::size_t open_requests() const;

    void close();                                            ///< the manager goes away
    void on_idle(const std::shared_ptr<Lease::Slot>& slot);  ///< its last lease ended

  private:
    using Slot = Lease::Slot;

    struct Waiter {
        std::optional<Result<Lease>> result;
        ipc::Signal ready;
    };

    struct Model {
        explicit Model(std::string its_name, Backoff its_backoff) : name(std::move(its_name)), backoff(its_backoff) {}
        std::string name;
        std::string path;            // as of the last check
        std::shared_ptr<Slot> slot;  // when warm
        bool loading = false;
        bool queued = false;
        int n_evicting = 0;
        float progress = 0;
        Backoff backoff;
        std::optional<Error> last_error;
        std::vector<Waiter*> waiting;  // for the load, or for a place
        boost::asio::cancellation_signal cancel_load;
        std::uint64_t requests = 0;
        std::uint64_t found_warm = 0;
    };

    // Asking.
    [[nodiscard]] Result<Model*> find(const std::string& name);
    [[nodiscard]] std::optional<Error> reason_to_refuse(Model& model);
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> wait_for(Model& model);
    void give_leases(Model& model);
    static void refuse_all(Model& model, const Error& error);
    void leave_queue(Model& model);

    // Who has a place.
    void arrange();
    void start_queued_loads();
    [[nodiscard]] std::size_t n_missing_places() const;
    [[nodiscard]] Model* least_recently_used(bool idle) const;
    [[nodiscard]] Model* most_recently_used_leaving() const;
    void evict(Model& model);
    void end_engine(Model& model, Clock::time_point idle_until, Clock::time_point deadline);
    void free_place();

    // What engines report.
    void start_engine(Model& model);
    void on_loaded(Model& model, std::unique_ptr<ipc::EngineClient> engine);
    Error on_load_failed(Model& model, Error error);
    void on_engine_exit(Model& model, const Slot* slot, const std::string& why);

    [[nodiscard]] ModelState state(const Model& model) const;
    [[nodiscard]] ModelStatus status(const Model& model) const;

    const catalog::Catalog& catalog_;
    Tuning tuning_;
    ipc::EngineOptions options_;  // all but name and path
    std::size_t n_places_;

    boost::asio::any_io_executor executor_;  // of the first acquire()
    std::map<std::string, std::unique_ptr<Model>> models_;
    std::deque<Model*> queue_;  // models that want a place; each once
    std::vector<std::shared_ptr<Slot>> evicting_;
    std::size_t places_taken_ = 0;  // loading, warm or evicting
    std::uint64_t ticks_ = 0;
    bool draining_ = false;
    bool closed_ = false;
    ipc::Signal place_freed_;
};

}  // namespace sutazai::models
