#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

/// While a step is held for companions, it is looked at again this often.
constexpr std::chrono::milliseconds kHoldStep{2};
constexpr std::chrono::milliseconds kExpiryStep{100};
/// A step is cut short for a cancelled request when it computes at least this much of its prompt.
constexpr int kWorthAborting = 64;

/// The smoothed rate at which requests end.
class EndRate {
  public:
    void count(const StepReport& report) {
        for (const auto& [id, update] : report.updates) n_ended_ += update.last() ? 1 : 0;
        const double elapsed = std::chrono::duration<double>(Clock::now() - since_).count();
        if (elapsed < 1.0) return;
        per_s_ = 0.5 * per_s_ + 0.5 * n_ended_ / elapsed;
        n_ended_ = 0;
        since_ = Clock::now();
    }
    [[nodiscard]] double per_s() const { return per_s_; }

  private:
    Clock::time_point since_ = Clock::now();
    int n_ended_ = 0;
    double per_s_ = 0;
};

/// Null when there are no artifacts.
std::unique_ptr<ArtifactKeeper> keeper_for(const EngineState& state, ArtifactConfig config) {
    if (config.artifacts_dir.empty() || state.scheduler.host().budget() == 0) return nullptr;
    const Model::Properties& p = state.model->properties();
    const std::uint64_t most_block_bytes = p.state_bytes_per_token * artifact::kBlockTokens * 2 + (1U << 20);
    config.loaded_files = p.files;
    return std::make_unique<ArtifactKeeper>(std::move(config), p.fingerprint, most_block_bytes);
}

}  // namespace

Engine::Engine(std::unique_ptr<Model> model, const EngineConfig& config, std::function<void(StepReport)> report,
               const OnDeath& on_death)
    : config_(config),
      queue_timeout_(config.queue_timeout),
      report_(std::move(report)),
      state_(std::move(model), config),
      keeper_(keeper_for(state_, config.artifacts)),
      slow_draws_(on_death),
      host_states_(state_, keeper_.get()),
      artifact_traffic_(state_, host_states_, keeper_.get(), mailbox_),
      artifact_orders_(state_, host_states_, artifact_traffic_, keeper_.get(), mailbox_),
      generations_(state_, artifact_traffic_, mailbox_, slow_draws_),
      side_work_(state_, generations_, queue_timeout_),
      preparation_(*state_.model, keeper_.get(), queue_timeout_, mailbox_, report_, on_death) {
    // Asked after each operation of a step: a step may take minutes on a slow machine, an operation does not.
    state_.model->set_abort_check([this] {
        state_.progress.advance();
        return abort_.load(std::memory_order_relaxed);
    });
    state_.model->set_adapters_of([this](RequestId id) { return generations_.adapters_of(id); });
    state_.model->set_images_of([this](RequestId id) { return generations_.images_of(id); });
    decode_thread_ = guarded_thread("the decode thread", on_death, [this] { decode_loop(); });
}

Engine::~Engine() {
    stop();
}

void Engine::stop() {
    preparation_.stop();
    mailbox_.stop();
    abort_ = true;
}

std::vector<Work> Engine::works() const {
    std::vector<Work> works;
    const auto add = [&](const char* what, const Progress& progress) {
        if (progress.at_work()) works.push_back({what, progress.count()});
    };
    add("a step", state_.progress);
    add("the preparation of a request", preparation_.progress());
    add("the preparation of a short request", preparation_.short_progress());
    add("the compilation of a grammar", preparation_.grammar_progress());
    add("the draw of a token", slow_draws_.progress());
    // Else nobody waits for it.
    if (keeper_ != nullptr && (mailbox_.standing().fetches || artifact_orders_.at_work())) {
        add("cache artifacts", keeper_->progress());
    }
    return works;
}

void Engine::submit(RequestId id, GenerationRequest request) {
    std::vector<RequestId> ids(static_cast<std::size_t>(request.n));
    std::iota(ids.begin(), ids.end(), id);
    if (preparation_.submit(id, std::move(request), config_.max_queue)) return;
    Error error{ErrorCode::kQueueFull,
                fmt::format("{} requests are waiting for this model already", config_.max_queue)};
    error.retry_after_s = retry_after_s();
    StepReport report;
    report.fail(ids, error);
    report_(std::move(report));
}

/// Seconds until the queue has shrunk by a quarter at the rate of the last ends.
int Engine::retry_after_s() const {
    const double ends_per_s = mailbox_.standing().ends_per_s;
    if (ends_per_s <= 0) return 1;
    return static_cast<int>(std::clamp(std::ceil(config_.max_queue / 4.0 / ends_per_s), 1.0, 60.0));
}

void Engine::cancel(RequestId id) {
    if (preparation_.cancel(id)) return;
    mailbox_.cancel(id);
    if (prefilling_.load() == id) abort_ = true;
}

Result<ArtifactReport> Engine::artifacts(ArtifactAction action, std::chrono::milliseconds patience) {
    return artifact_orders_.carry_out(action, patience);
}

void Engine::wait_until_idle() {
    preparation_.wait_until_empty();
    mailbox_.wait_until_idle();
}

// --- decode thread

void Engine::decode_loop() {
    EndRate ends;
    bool held = false;
    while (true) {
        if (!has_work()) state_.progress.end();
        std::optional<Mailbox::Mail> mail = mailbox_.receive(standing(ends.per_s()), patience(held));
        if (!mail) return;
        state_.progress.begin();
        const std::uint64_t steps = state_.counters.steps;
        StepReport report;
        take(std::move(*mail), report);
        expire(report);
        held = !state_.scheduler.idle() && !run_step(report);
        if (side_work_.open() > 0) {
            side_work_.run(report);
            held = false;
        }
        if (!state_.model->file_intact()) {
            if (config_.on_changed_file) config_.on_changed_file();
            return;
        }
        artifact_traffic_.keep_one_hot_block();
        // A loop that computes nothing and ends nothing, again and again, does not get on.
        const bool computed = state_.counters.steps != steps || side_work_.open() > 0;
        if (held || computed || !report.updates.empty()) state_.progress.advance();
        ends.count(report);
        report.stats = stats();
        report_(std::move(report));
    }
}

/// How long to wait for mail.
std::chrono::microseconds Engine::patience(bool held) const {
    if (held) return kHoldStep;
    if (has_work() || artifact_traffic_.has_hot()) return microseconds(0);
    // A disk that hangs must not keep them for ever.
    if (artifact_traffic_.fetches() && queue_timeout_.is_set()) return kExpiryStep;
    return Mailbox::kForEver;
}

Mailbox::Standing Engine::standing(double ends_per_s) const {
    return {.is_open = has_work() || artifact_traffic_.fetches(),
            .fetches = artifact_traffic_.fetches(),
            .waiting = state_.scheduler.waiting() + side_work_.open() + artifact_traffic_.waiting(),
            .running = state_.scheduler.running(),
            .batch_width = state_.scheduler.batch_width(),
            .ends_per_s = ends_per_s};
}

void Engine::take(Mailbox::Mail mail, StepReport& report) {
    for (Prepared& prepared : mail.prepared) {
        if (!artifact_traffic_.fetch_first(prepared)) begin(std::move(prepared), report);
    }
    for (const RequestId id : mail.cancelled) {
        side_work_.cancel(id);
        generations_.cancel(id);
        artifact_traffic_.cancel(id);
    }
    for (const DrawnToken& drawn : mail.drawn) generations_.take(drawn, report);
    for (FetchedBlocks& fetched : mail.fetched) {
        if (auto prepared = artifact_traffic_.take(std::move(fetched))) begin(std::move(*prepared), report);
    }
    for (const auto& task : mail.tasks) task();
    abort_ = false;
}

void Engine::begin(Prepared prepared, StepReport& report) {
    if (!side_work_.begin(prepared, report)) generations_.begin(std::move(prepared), report);
}

void Engine::expire(StepReport& report) {
    artifact_traffic_.expire(queue_timeout_, report);
    generations_.expire(queue_timeout_, report);
}

bool Engine::run_step(StepReport& report) {
    // Long ones are not worth the wait.
    const sched::Step step = state_.scheduler.plan(state_.now(), preparation_.n_short() + mailbox_.arrived());
    if (!host_states_.apply(step.ops)) {
        state_.scheduler.roll_back(step);
        return true;
    }
    if (step.empty()) return !step.held && !generations_.draws_slowly();
    const auto began = Clock::now();
    const Model::Outcome outcome = compute(step);
    const auto took = std::chrono::duration_cast<microseconds>(Clock::now() - began);
    ++state_.counters.steps;
    state_.counters.step_us += static_cast<std::uint64_t>(took.count());
    if (outcome == Model::Outcome::kDone) {
        state_.scheduler.commit(step, took);
        generations_.tell_prompts(step, report);
        generations_.sample(step, report);
        return true;
    }
    state_.scheduler.roll_back(step);
    if (outcome == Model::Outcome::kFailed) {
        for (const sched::Chunk& chunk : step.chunks) {
            generations_.fail(chunk.request, {ErrorCode::kInternal, "the model could not compute this step"}, report);
        }
    }
    return true;
}

Model::Outcome Engine::compute(const sched::Step& step) {
    prefilling_ = worth_aborting_for(step);
    const Model::Outcome outcome = state_.model->decode(
        step, [&](RequestId id) -> const std::vector<Token>& { return state_.scheduler.tokens(id); });
    prefilling_ = 0;
    return outcome;
}

/// The request whose prompt is most of the step, so that the step is cut short when it is cancelled; 0: there is none.
RequestId Engine::worth_aborting_for(const sched::Step& step) const {
    const auto heaviest = std::ranges::max_element(step.chunks, {}, &sched::Chunk::n_tokens);
    if (heaviest->n_tokens < kWorthAborting || 2 * heaviest->n_tokens < step.n_tokens) return 0;
    // Without partial removal an aborted step takes all that its sequences have computed with it.
    const bool others_begin_again = std::ranges::any_of(step.chunks, [&](const sched::Chunk& chunk) {
        return chunk.first + chunk.n_tokens > state_.model->properties().partial_removal_tokens;
    });
    return others_begin_again && step.chunks.size() > 1 ? 0 : heaviest->request;
}

EngineStats Engine::stats() const {
    const sched::Scheduler& scheduler = state_.scheduler;
    EngineStats stats = state_.counters;
    stats.running = scheduler.running();
    stats.waiting = scheduler.waiting() + artifact_traffic_.waiting();
    stats.batch_width = scheduler.batch_width();
    stats.preemptions = scheduler.preemptions();
    stats.host_restored_tokens = scheduler.restored_tokens();
    stats.host_bytes = scheduler.host().bytes();
    stats.kv_cells_used = scheduler.cells().used();
    stats.kv_cells = scheduler.cells().total();
    stats.prefixes = scheduler.kept();
    stats.grammar_hits = preparation_.grammars().hits();
    stats.grammar_misses = preparation_.grammars().misses();
    if (keeper_ != nullptr) {
        const ArtifactKeeper::Stats artifacts = keeper_->stats();
        stats.artifacts = artifacts.artifacts;
        stats.artifact_bytes = artifacts.bytes;
    }
    return stats;
}

}  // namespace sutazai::engine
