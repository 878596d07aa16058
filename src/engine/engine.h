#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "artifact/hot_chains.h"
#include "base/generation.h"
#include "engine/artifact_keeper.h"
#include "engine/progress.h"
#include "engine/slow_draws.h"
#include "llama/grammar.h"
#include "llama/language_model.h"
#include "llama/side_context.h"
#include "sched/linear_cost.h"
#include "sched/scheduler.h"

namespace sutazai::engine {

using llama::Grammar;
using llama::KvState;
using Model = llama::LanguageModel;
using llama::Pooling;
using llama::SideContext;
using sched::Token;

struct EngineConfig {
    std::uint32_t batch_size = 8;      ///< chains decoded together, to start from
    std::uint32_t batch_size_max = 8;  ///< what the controller may go to; never less than batch_size
    std::uint32_t batch_tokens = 2048;
    std::uint32_t max_queue = 512;
    std::chrono::microseconds queue_timeout{0};   ///< a request that has not begun by then fails; 0: never
    std::chrono::microseconds batch_timeout{0};   ///< how long a request may be held for others in preparation
    std::chrono::microseconds token_gap{50'000};  ///< how much prefill may lengthen a step while something generates
    bool prefix_sharing = true;                   ///< false computes every prompt anew
    std::uint64_t prefix_cache_bytes = 0;         ///< host memory for prefixes that the KV memory has no room for
    ArtifactConfig artifacts;                     ///< used only with prefix_cache_bytes, through which they go
    /// Called on the decode thread instead of a report when the model's file has been written to: what was computed
    /// since the last report is worth nothing, and nothing more can be. It should not return.
    std::function<void()> on_changed_file = {};
};

struct EngineStats {
    int running = 0;
    int waiting = 0;
    int width = 0;  ///< chains decoded together, as the controller has it
    int kv_cells_used = 0;
    int kv_cells = 0;
    std::uint64_t prompt_tokens = 0;  ///< counters since the start
    std::uint64_t generation_tokens = 0;
    std::uint64_t cached_tokens = 0;
    std::uint64_t restored_tokens = 0;  ///< of those, from host memory
    std::uint64_t preemptions = 0;
    std::uint64_t host_bytes = 0;  ///< in use for kept prefixes outside the KV memory
    std::uint64_t steps = 0;
    std::uint64_t step_us = 0;                        ///< inside llama_decode
    int prefixes = 0;                                 ///< chains of finished requests that are kept
    std::uint64_t artifacts = 0, artifact_bytes = 0;  ///< of this model on disk
    std::uint64_t artifact_tokens = 0;                ///< read back from artifacts instead of being computed
    std::uint64_t broken_results = 0;                 ///< that were no numbers: rows of logits, embeddings
};

/// What one step (or one refused request) brought, for all requests at once.
struct StepReport {
    std::vector<std::pair<RequestId, GenerationUpdate>> updates;
    std::optional<EngineStats> stats;  ///< after the step; none for a refused request
};

/// What a thread is at, and a number that is another one as soon as it has got on.
struct Work {
    const char* what;
    std::uint64_t progress;
};

/// Serves one model. Threads of its own: two prepare requests (template, tokens, grammar), one of them only short ones,
/// so that they do not wait for long ones; one plans, decodes and samples, and nothing on it ever waits for a reader.
class Engine {
  public:
    /// `report` is called on any of them and must not block. `on_death` is called on a thread that dies of an
    /// exception, and ends the process: what the thread left behind cannot be relied on.
    Engine(std::unique_ptr<Model> model, const EngineConfig& config, std::function<void(StepReport)> report,
           std::function<void(const std::string& why)> on_death = end_process);
    ~Engine();  ///< stop(), and waits for the threads
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Any thread; none of these waits for a step.

    /// Its `n` answers are the requests `id` to `id` + n - 1. Errors come as updates. Ids must not repeat.
    void submit(RequestId id, GenerationRequest request);
    /// Unknown and ended ids are ignored. The sequence is freed by the next step; a step that mostly computes this
    /// request's prompt is cut short. No update follows.
    void cancel(RequestId id);
    /// Saves the kept prefixes as artifacts, restores artifacts into kept prefixes, or removes what is too old. Waits
    /// for it: call it on a thread that nothing waits for. One call at a time. The error says why it could not.
    /// Waits up to `patience` for the folder, which is not ready before the weights have been hashed once.
    [[nodiscard]] Result<ArtifactReport> artifacts(ArtifactAction action,
                                                   std::chrono::milliseconds patience = std::chrono::seconds(10));
    /// What the threads that do not wait for work are at, to see from one call to the next that they get on.
    [[nodiscard]] std::vector<Work> works() const;
    /// Returns when nothing is open, or after stop(). New requests should have stopped.
    void wait_until_idle();
    /// Ends the threads soon; open requests get nothing more.
    void stop();

    [[nodiscard]] const Model& model() const { return *model_; }

  private:
    static constexpr std::size_t kMostHotChains = 64;  ///< reused prefixes that wait to become artifacts
    struct Generation;
    struct Prepared {
        RequestId id = 0;  ///< of the first of its `request.n` answers
        GenerationRequest request;
        std::vector<Token> prompt;
        std::chrono::steady_clock::time_point submitted;
        std::vector<ArtifactKeeper::Find> on_disk;            ///< blocks of the prompt, as of its preparation
        std::vector<std::unique_ptr<Grammar>> grammars = {};  ///< one for each answer, or none
        std::string echo = {};                                ///< the prompt's text, for requests that want it back
        std::set<RequestId> cancelled = {};                   ///< of its answers
        const char* input_field = "prompt";                   ///< where the request holds what the model reads
        [[nodiscard]] std::vector<RequestId> wanted() const;  ///< the answers that are not cancelled
        [[nodiscard]] std::uint64_t salt() const { return std::hash<std::string>{}(request.cache_salt); }
    };
    /// A state outside the KV memory.
    struct HostState {
        std::shared_ptr<const KvState> state;     ///< null when the copy failed
        std::optional<artifact::ChainHash> name;  ///< of the artifact that it came from
        std::optional<artifact::Canary> canary;   ///< still to be compared; none: there is none, or it was right
        Token last = 0;                           ///< the block's last token
        int n_tokens = 0;
    };
    struct Fetched {
        RequestId request = 0;  ///< that waits for them
        std::vector<ArtifactKeeper::Fetched> blocks;
        int n_tokens = 0;  ///< that were asked for
        sched::Time took{0};
    };

    [[noreturn]] static void end_process(const std::string& why);
    [[nodiscard]] std::jthread guarded(const char* name, void (Engine::*loop)());
    /// A request on its way to the inbox.
    struct Preparing {
        int n = 1;
        bool is_long = false;
        std::set<RequestId> cancelled;
        std::atomic<bool> unwanted{false};  ///< all of it is cancelled, or the engine stops
    };
    static int n_of(const Prepared& prepared) { return prepared.request.n; }
    static int n_of(const std::shared_ptr<Preparing>& preparing) { return preparing->n; }
    /// Of requests by the id of their first answer, the one that `answer` belongs to; end() when there is none.
    template <typename Requests>
    static auto request_of(Requests& requests, RequestId answer) {
        const auto next = requests.upper_bound(answer);
        if (next == requests.begin()) return requests.end();
        const auto found = std::prev(next);
        return answer - found->first < static_cast<RequestId>(n_of(found->second)) ? found : requests.end();
    }
    void prepare_short() { prepare_loop(false); }
    void prepare_all() { prepare_loop(true); }
    void prepare_loop(bool takes_long);
    [[nodiscard]] bool is_late(const Prepared& prepared) const;
    void decode_loop();
    void take_inbox(StepReport& report);
    [[nodiscard]] Result<void> prepare_guarded(Prepared& prepared, const std::atomic<bool>& unwanted) const;
    [[nodiscard]] Result<void> prepare(Prepared& prepared, const std::atomic<bool>& unwanted) const;
    void start(Prepared prepared, StepReport& report);
    /// False when the step is held for requests in preparation.
    bool run_step(StepReport& report);
    [[nodiscard]] bool begins_nobody_again(const sched::Step& step) const;
    /// False when the step must not be computed.
    bool apply_ops(std::span<const sched::KvOp> ops);
    void save(const sched::Save& save);
    bool load(const sched::Load& load);
    /// False when the deepest of the blocks just loaded into a slot came from the disk and is not what it claims.
    bool confirm(std::span<const sched::Load> loads);
    // Artifacts (artifacts.cpp); decode thread.
    bool fetch_first(Prepared& prepared);
    void take_fetched(Fetched fetched, StepReport& report);
    int import(std::uint64_t salt, std::span<const Token> before, std::vector<ArtifactKeeper::Fetched> blocks);
    void note_reuse(RequestId request, const std::string& salt, int cached_tokens);
    [[nodiscard]] artifact::TokenCost token_cost() const;
    std::optional<artifact::Canary> canary_of(sched::SlotId slot, std::span<const Token> chain);
    void keep_one_hot_block();
    /// False when the engine is being stopped and the task was not run.
    [[nodiscard]] bool run_on_decode_thread(const std::function<void()>& task);
    Result<ArtifactReport> save_artifacts();
    Result<ArtifactReport> restore_artifacts();
    void expire(StepReport& report);
    [[nodiscard]] Error timed_out() const;
    void fail_all(const Prepared& prepared, const Error& error, StepReport& report) const;
    [[nodiscard]] int fetching() const;
    void sample(const sched::Step& step, StepReport& report);
    /// Draws a token whose grammar takes long, away from the decode thread. The request sits out until then.
    void draw_slowly(std::shared_ptr<Generation> generation, std::span<const float> logits);
    void take_drawn(const std::shared_ptr<Generation>& generation, Token token, StepReport& report);
    void forget(RequestId id);
    /// False when the request ended with this token.
    void deliver(Generation& generation, Token token, StepReport& report);
    void end(Generation& generation, FinishReason reason, GenerationUpdate update, StepReport& report);
    void refuse(const std::vector<RequestId>& ids, const Error& error);
    // engine_side.cpp: embeddings, and prompts that are given back with their scores.
    /// False when the request is none of these, and so is left to the scheduler.
    bool start_beside(Prepared& prepared, StepReport& report);
    void run_beside(StepReport& report);
    void begin_echo(Prepared prepared, std::vector<TokenScore> scores, StepReport& report);
    void schedule(Prepared prepared, StepReport& report);
    void fail_beside(RequestId id, const Error& error, StepReport& report);
    void cancel_beside(RequestId id);
    [[nodiscard]] int open_beside() const { return embeddings_->open() + scores_->open(); }
    void fail_step(const sched::Step& step, StepReport& report);
    void fail_request(RequestId id, Error error, StepReport& report);
    [[nodiscard]] Error no_numbers(const char* input_field);
    [[nodiscard]] sched::Time now() const;
    [[nodiscard]] int retry_after_s() const;
    [[nodiscard]] EngineStats stats() const;

    std::unique_ptr<Model> model_;
    EngineConfig config_;
    std::function<void(StepReport)> report_;
    std::function<void(const std::string&)> on_death_;
    std::chrono::steady_clock::time_point origin_ = std::chrono::steady_clock::now();

    // Decode thread only.
    sched::Scheduler scheduler_;
    std::unordered_map<RequestId, std::shared_ptr<Generation>> generations_;
    int n_slow_draws_ = 0;  ///< requests that sit out while their next token is drawn
    std::unique_ptr<SideContext> embeddings_, scores_;
    std::map<RequestId, Prepared> scored_;  ///< whose prompts are in scores_
    std::unordered_map<sched::BlockId, HostState> host_states_;
    std::unordered_map<std::uint64_t, std::string> salts_;
    std::map<RequestId, Prepared> fetching_;  ///< requests that wait for artifacts
    artifact::HotChains hot_{kMostHotChains};
    int steps_since_hot_ = 0;
    sched::LinearCost fetch_cost_;
    EngineStats counters_;

    // Between threads, under mutex_.
    mutable std::mutex mutex_;
    std::condition_variable to_prepare_ready_, inbox_ready_, idle_;
    std::deque<Prepared> short_, long_;                          ///< to be prepared
    std::map<RequestId, std::shared_ptr<Preparing>> preparing_;  ///< from submit() until in the inbox
    int n_preparing_ = 0;                                        ///< answers that they will be
    std::deque<Prepared> inbox_;
    int n_inbox_ = 0;  ///< answers that it will be
    std::deque<RequestId> cancels_;
    std::deque<Fetched> fetched_;
    std::deque<std::pair<std::shared_ptr<Generation>, Token>> drawn_;  ///< by slow_draws_
    std::deque<std::function<void()>> tasks_;                          ///< for the decode thread
    bool stopping_ = false;
    bool busy_ = false;     ///< the decode thread has something to compute
    bool open_ = false;     ///< the decode thread has open requests
    bool fetches_ = false;  ///< some of them wait for artifacts
    int waiting_ = 0;       ///< as of the last step
    int running_ = 0;
    int width_ = 0;          ///< chains decoded together, as the controller has it
    double ends_per_s_ = 0;  ///< smoothed rate at which requests end

    std::atomic<RequestId> prefilling_{0};  ///< whose prompt is most of the running step; 0: nobody's
    std::atomic<bool> abort_{false};

    Progress decoding_, preparing_progress_, preparing_short_progress_;
    std::atomic<bool> ordered_{false};  ///< artifacts() runs

    std::unique_ptr<ArtifactKeeper> keeper_;  ///< null: no artifacts
    SlowDraws slow_draws_;
    std::jthread prepare_short_thread_, prepare_thread_, decode_thread_;
};

}  // namespace sutazai::engine
