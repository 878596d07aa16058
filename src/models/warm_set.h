#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/engine_client.h"
#include "ipc/signal.h"
#include "models/backoff.h"
#include "models/catalog_keeper.h"
#include "models/file_look.h"
#include "models/memory_estimate.h"
#include "models/model_manager.h"
#include "models/placement.h"
#include "models/popularity.h"
#include "models/standby_pool.h"
#include "models/usage_writer.h"

namespace sutazai::models {

/// One engine process that has loaded its model. Shared by the warm set and the leases on it; who is last ends it.
struct Lease::Slot {
    using Time = placement::Time;
    std::string model;
    ipc::OwnedEngine engine;
    std::weak_ptr<WarmSet> owner;
    std::size_t n_leases = 0;
    std::size_t n_reserving = 0;  // of those
    bool leaving = false;         // no new leases; it is evicted when the last one ends
    bool dismissed = false;       // leaving because somebody ordered it
    bool stale = false;           // leaving because its file is another one now
    FileStamps stamps;            // of the file that it was loaded from
    KeepAlive keep_alive{0};      // as the last request has it
    Time loaded_at;
    Time idle_since;
    std::optional<Time> unload_at;  // once idle
    Time measured_at;
    std::uint64_t measured_bytes = 0;  // the most so far
    ipc::Signal idle;
    bool ended = false;  // the process is gone
    ipc::Signal gone;
};

/// What AdvancedModelManager does: carries out what placement::plan() decides. A place is what one engine process
/// takes, from its start until it is gone. Who asks for a model without one waits, with all others who ask for it.
class WarmSet : public std::enable_shared_from_this<WarmSet> {
  public:
    using Clock = placement::Clock;
    static constexpr const char* kChangedOnDisk = "changed on disk";
    static constexpr const char* kFileGone = "its file is gone";

    enum class Purpose : std::uint8_t {
        kRequest,  ///< only this one shows in the counters
        kWarmUp,
        kModestWarmUp  ///< takes nobody's place
    };
    struct Asking {
        Purpose purpose;
        std::optional<KeepAlive> keep_alive;
    };

    [[nodiscard]] static std::shared_ptr<WarmSet> make(const config::Settings& settings, catalog::Catalog& catalog,
                                                       BlockingPool& pool, std::string executable, Tuning tuning);
    WarmSet(const config::Settings& settings, catalog::Catalog& catalog, BlockingPool& pool, std::string executable,
            Tuning tuning);

    [[nodiscard]] static boost::asio::awaitable<Result<Lease>> acquire(std::shared_ptr<WarmSet> self, std::string name,
                                                                       Asking asking);
    [[nodiscard]] Result<Lease> hold_if_warm(const std::string& name);
    [[nodiscard]] static boost::asio::awaitable<Result<bool>> evict(std::shared_ptr<WarmSet> self, std::string name,
                                                                    bool wait);
    [[nodiscard]] static boost::asio::awaitable<Result<bool>> pin(std::shared_ptr<WarmSet> self, std::string name,
                                                                  bool pinned);
    [[nodiscard]] std::vector<std::string> startup_models() const;
    [[nodiscard]] static boost::asio::awaitable<void> drain(std::shared_ptr<WarmSet> self, Clock::time_point deadline);
    [[nodiscard]] std::vector<ModelStatus> status() const;
    [[nodiscard]] bool any_warm() const;
    [[nodiscard]] std::size_t open_requests() const;
    [[nodiscard]] const placement::Room& room() const { return rules_.room; }
    [[nodiscard]] StandbyPool& standby() { return *standby_; }
    [[nodiscard]] CatalogKeeper& files() { return *files_; }

    void close();                                            ///< the manager goes away
    void on_idle(const std::shared_ptr<Lease::Slot>& slot);  ///< its last lease ended

  private:
    using Slot = Lease::Slot;

    struct Waiter {
        Asking asking;
        std::optional<Result<Lease>> result;
        ipc::Signal ready;
    };

    struct Model {
        explicit Model(std::string its_name, Backoff its_backoff) : name(std::move(its_name)), backoff(its_backoff) {}
        std::string name;
        std::string path;  // with what follows as of the last look; empty before the first one
        std::uint64_t file_bytes = 0;
        FileStamps stamps;          // empty: what the file holds is not known
        FileStamps loading_stamps;  // of what is being loaded
        FileStamps bad_stamps;      // of one that cannot be used
        std::string file_note;      // what is to be said of the file of a warm model; empty when all is well
        bool looking = false;       // at the file
        ipc::Signal looked;
        std::string architecture;      // as the file has it
        std::uint32_t vocabulary = 0;  // tokens
        std::shared_ptr<Slot> slot;    // when warm
        bool loading = false;
        ipc::LoadProgress progress;
        Clock::time_point loading_since;
        int n_ending = 0;  // engines that have been told to end
        std::size_t n_admitted = 0;
        Backoff backoff;
        std::optional<Error> last_error;
        std::vector<Waiter*> waiting;  // for the load, or for a place
        Clock::time_point waiting_since;
        boost::asio::cancellation_signal cancel_load;
        bool pinned = false;
        std::optional<Clock::time_point> displaced_until;  // it made room; else it would be warm until then
        Popularity popularity;
        std::optional<std::chrono::system_clock::time_point> last_used;
        Clock::duration load_time{0};  // of the last load
        MemoryEstimate estimate;
        std::optional<std::int64_t> correction;  // bytes that it took beyond the estimate
        std::uint64_t requests = 0;
        std::uint64_t found_warm = 0;
        std::uint64_t crashes = 0;
        std::string last_crash;
        EngineStats past;  // counters of engines that have ended
    };

    // Asking.
    [[nodiscard]] Result<Model*> find(const std::string& name);
    [[nodiscard]] static boost::asio::awaitable<std::optional<Error>> check_file(std::shared_ptr<WarmSet> self,
                                                                                 Model& model);
    [[nodiscard]] std::optional<Error> take_cold(Model& model, const std::string& path, FileLook look);
    void take_warm(Model& model, const std::string& path, FileLook look);
    [[nodiscard]] std::optional<Error> take_rewritten(Model& model, const std::string& path, FileLook look);
    void dismiss_stale(Model& model);
    void take_over(Model& model, const std::string& path, FileStamps stamps, const catalog::GgufSummary& summary);
    void note_file(Model& model, std::string note);
    [[nodiscard]] std::optional<Error> reason_to_refuse(Model& model);
    [[nodiscard]] std::optional<Error> reason_not_to_fit(const Model& model) const;
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> wait_for(Model& model, Asking asking);
    void count_use(Model& model, Purpose purpose);
    [[nodiscard]] Lease grant(Model& model, const Asking& asking) const;
    void give_leases(Model& model);
    static void refuse_all(Model& model, const Error& error);
    [[nodiscard]] static std::size_t n_waiting(const Model& model);

    // Who has a place.
    void arrange();
    [[nodiscard]] placement::Model view(const Model& model) const;
    [[nodiscard]] placement::Room ending() const;
    void carry_out(placement::Action::Kind kind, Model& model);
    void look_again(std::optional<Clock::time_point> when);
    void end_engine(Model& model, Clock::time_point idle_until, Clock::time_point deadline);
    void free_place();
    [[nodiscard]] bool has_engines() const;
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] std::uint64_t free_bytes() const;
    [[nodiscard]] std::uint64_t expected_bytes(const Model& model) const;

    // What engines report.
    void start_engine(Model& model);
    void on_loaded(Model& model, ipc::OwnedEngine engine);
    Error on_load_failed(Model& model, Error error);
    void on_engine_exit(Model& model, const Slot* slot, const std::string& why);
    void measure(Model& model, Slot& slot);

    // What is remembered.
    void recall(Model& model) const;
    void remember();
    [[nodiscard]] UsageByName usage_now() const;

    [[nodiscard]] ModelState state(const Model& model) const;
    [[nodiscard]] std::string file_note(const Model& model) const;
    [[nodiscard]] ModelStatus status(const Model& model) const;

    catalog::Catalog& catalog_;
    /// For looks at files: a request waits for one, and must not wait for what others have put on the large pool.
    BlockingPool looks_{1};
    std::shared_ptr<CatalogKeeper> files_;
    Tuning tuning_;
    placement::Rules rules_;
    ipc::EngineOptions options_;  // all but name and path
    EngineShape shape_;
    KeepAlive keep_alive_;
    std::vector<std::string> configured_;  // models of MODELS
    UsageWriter usage_writer_;
    UsageByName usage_;  // as of the last start
    Clock::time_point remembered_at_{};

    boost::asio::any_io_executor executor_;  // of the first acquire()
    std::optional<boost::asio::steady_timer> timer_;
    std::map<std::string, std::unique_ptr<Model>> models_;
    std::vector<std::shared_ptr<Slot>> ending_;
    std::uint64_t n_requests_ = 0;
    std::shared_ptr<StandbyPool> standby_;
    bool draining_ = false;
    bool closed_ = false;
    ipc::Signal place_freed_;
};

}  // namespace sutazai::models
