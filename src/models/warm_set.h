#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/catalog_keeper.h"
#include "models/file_check.h"
#include "models/model_manager.h"
#include "models/placement.h"
#include "models/standby_pool.h"
#include "models/usage_record.h"
#include "models/warm_model.h"

namespace sutazai::models {

/// The models, and who of them has a place: carries out what placement::plan() decides. A place is what one engine
/// process takes, from its start until it is gone. What AdvancedModelManager and the coroutines that work for it share;
/// engines that start or end keep it too. One I/O thread.
class WarmSet : public std::enable_shared_from_this<WarmSet> {
  public:
    using Clock = placement::Clock;

    [[nodiscard]] static std::shared_ptr<WarmSet> make(const config::Settings& settings, catalog::Catalog& catalog,
                                                       BlockingPool& pool, std::string executable, Tuning tuning);
    WarmSet(const config::Settings& settings, catalog::Catalog& catalog, BlockingPool& pool, std::string executable,
            Tuning tuning);

    struct Found {
        WarmModel* model;  ///< lives as long as the set
        AskedModel asked;
    };
    /// The model that the catalogue has under this name. One that has another one there by now is let go, unless other
    /// names stand for it; one that the catalogue no longer has goes on being found.
    [[nodiscard]] Result<Found> find(const std::string& name);
    [[nodiscard]] const WarmModels& models() const { return models_; }
    [[nodiscard]] const catalog::Catalog& catalog() const { return catalog_; }
    [[nodiscard]] CatalogKeeper& files() { return *files_; }
    [[nodiscard]] FileCheck& file_check() { return file_check_; }
    [[nodiscard]] StandbyPool& standby() { return *standby_; }
    [[nodiscard]] UsageRecord& usage() { return usage_; }
    [[nodiscard]] UsageByName usage_now() const { return usage_.now(models_, n_requests_); }
    [[nodiscard]] const placement::Room& room() const { return rules_.room; }
    [[nodiscard]] std::chrono::milliseconds load_timeout() const { return options_.load_timeout; }
    [[nodiscard]] std::size_t open_requests() const;

    /// Before the first model is asked for: where its engine will live.
    void live_on(const boost::asio::any_io_executor& executor);
    /// Who asks for a model to be warm means to use it.
    void count_use(WarmModel& model, Purpose purpose);
    /// A lease on a warm model.
    [[nodiscard]] Lease grant(WarmModel& model, const Asking& asking) const { return model.grant(asking, keep_alive_); }
    /// Why a cold model may not ask for a place, which another might have to leave for it.
    [[nodiscard]] std::optional<Error> reason_to_refuse(WarmModel& model);
    /// From now until leave() somebody waits for a lease on the model.
    void join(WarmModel& model, Waiter& waiter);
    void leave(WarmModel& model, Waiter& waiter);

    /// Something has changed: who has a place now?
    void arrange();

    [[nodiscard]] bool draining() const { return draining_; }
    [[nodiscard]] bool closing() const { return draining_ || closed_; }
    [[nodiscard]] static Error shutting_down();
    /// Nothing is given or loaded any more; engines end as soon as they have no leases, at the latest at `deadline`.
    void drain(Clock::time_point deadline);
    [[nodiscard]] bool has_engines() const;
    [[nodiscard]] ipc::Signal& engine_gone() { return engine_gone_; }
    /// The manager goes away: engines without leases end now, the others with their last lease.
    void close();

  private:
    [[nodiscard]] WarmModel& model_of(const catalog::ModelFile& file);
    void replace(WarmModel& old, WarmModel& now);
    void follow_pins();
    void carry_out(placement::Action::Kind kind, WarmModel& model);
    void look_again(std::optional<Clock::time_point> when);
    [[nodiscard]] placement::Room ending() const;
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] std::uint64_t free_bytes() const;

    void start_engine(WarmModel& model);
    void on_started(WarmModel& model, Result<ipc::OwnedEngine> engine);
    void on_loaded(WarmModel& model, ipc::OwnedEngine engine);
    void on_engine_exit(WarmModel& model, const EngineSlot* slot, const std::string& why);
    void on_idle(WarmModel& model, const std::shared_ptr<EngineSlot>& slot);
    /// When its leases have ended, at the latest at `deadline`.
    void end_engine(WarmModel& model, std::optional<Clock::time_point> deadline = std::nullopt);
    void on_ended(WarmModel& model, const std::shared_ptr<EngineSlot>& slot);
    void free_place();

    catalog::Catalog& catalog_;
    std::shared_ptr<CatalogKeeper> files_;
    Tuning tuning_;
    placement::Rules rules_;
    ipc::EngineOptions options_;  // all but what the model decides
    KeepAlive keep_alive_;
    FileCheck file_check_;
    UsageRecord usage_;
    std::shared_ptr<StandbyPool> standby_;

    boost::asio::any_io_executor executor_;
    std::optional<boost::asio::steady_timer> timer_;
    WarmModels models_;
    struct Known {
        WarmModel* model = nullptr;
        std::shared_ptr<const catalog::ModelProfile> profile;
    };
    std::map<std::string, Known> by_name_;  // the catalogue's names that were asked for
    std::uint64_t pins_of_ = 0;             // the catalogue's generation
    std::vector<std::shared_ptr<EngineSlot>> ending_;
    std::uint64_t n_requests_ = 0;
    bool draining_ = false;
    bool closed_ = false;
    ipc::Signal engine_gone_;
};

}  // namespace sutazai::models
