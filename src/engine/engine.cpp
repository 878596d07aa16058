#include "engine/engine.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/engine_generation.h"
#include "text/utf8_stream.h"

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

/// Rows that ggml's kernels for repacked weights take at a time; the rest goes one by one, each nearly at the price of
/// four.
constexpr int kRowGroup = 4;
/// While a step is held for companions, it is looked at again this often.
constexpr std::chrono::milliseconds kHoldStep{2};

sched::Limits limits_of(const Model& model, const EngineConfig& config) {
    const Model::Properties& p = model.properties();
    sched::Limits limits;
    limits.kv_cells = p.kv_cells;
    limits.context_per_sequence = p.context_per_sequence;
    limits.slots = p.slots;
    limits.batch_size = std::clamp(static_cast<int>(config.batch_size), 1, p.slots);
    limits.batch_size_max = std::clamp(static_cast<int>(config.batch_size_max), limits.batch_size, p.slots);
    limits.batch_tokens = std::max(static_cast<int>(config.batch_tokens), limits.batch_size_max);
    limits.row_group = kRowGroup;
    limits.queue_timeout = config.queue_timeout;
    limits.companion_hold = config.companion_hold;
    limits.queue_limit = std::numeric_limits<int>::max();  // the engine's own limit counts requests in preparation too
    limits.share_prefixes = config.share_prefixes;
    limits.cuttable_tokens = p.cuttable_tokens;
    limits.prefill_stretch = config.token_gap;
    limits.host_bytes = p.state_bytes_per_token > 0 ? config.prefix_cache_bytes : 0;
    limits.host_bytes_per_token = p.state_bytes_per_token;
    return limits;
}

}  // namespace

Engine::Engine(std::unique_ptr<Model> model, const EngineConfig& config, std::function<void(StepReport)> report)
    : model_(std::move(model)),
      config_(config),
      report_(std::move(report)),
      scheduler_(limits_of(*model_, config)),
      embeddings_(*model_, SideContext::Kind::kEmbeddings),
      scores_(*model_, SideContext::Kind::kScores) {
    width_ = scheduler_.width();
    const Model::Properties& p = model_->properties();
    if (!config_.artifacts.folder.empty() && scheduler_.host().budget() > 0) {
        const std::uint64_t most = p.state_bytes_per_token * artifact::kBlockTokens * 2 + (1U << 20);
        config_.artifacts.loaded_files = p.files;
        keeper_ = std::make_unique<ArtifactKeeper>(config_.artifacts, p.fingerprint, most);
    }
    model_->set_abort_check([this] { return abort_.load(std::memory_order_relaxed); });
    prepare_thread_ = std::jthread([this] { prepare_loop(); });
    decode_thread_ = std::jthread([this] { decode_loop(); });
}

Engine::~Engine() {
    stop();
}

void Engine::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    abort_ = true;
    to_prepare_ready_.notify_all();
    inbox_ready_.notify_all();
    idle_.notify_all();
}

void Engine::submit(RequestId id, GenerationRequest request) {
    bool full = false;
    int retry_after = 0;
    {
        const std::lock_guard lock(mutex_);
        const auto queued = static_cast<std::size_t>(waiting_) + preparing_.size() + inbox_.size();
        const auto places = static_cast<std::size_t>(std::max(0, width_ - running_));
        full = queued >= config_.queue_limit + places;
        if (full) {
            retry_after = retry_after_s();
        } else {
            preparing_.emplace(id, false);
            to_prepare_.push_back({id, std::move(request), {}, Clock::now(), {}});
        }
    }
    if (!full) {
        to_prepare_ready_.notify_one();
        return;
    }
    Error error{ErrorCode::kQueueFull,
                fmt::format("{} requests are waiting for this model already", config_.queue_limit)};
    error.retry_after_s = retry_after;
    refuse(id, std::move(error));
}

/// Seconds until the queue has shrunk by a quarter at the rate of the last ends.
int Engine::retry_after_s() const {
    if (ends_per_s_ <= 0) return 1;
    return static_cast<int>(std::clamp(std::ceil(config_.queue_limit / 4.0 / ends_per_s_), 1.0, 60.0));
}

void Engine::cancel(RequestId id) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = preparing_.find(id); found != preparing_.end()) {
            found->second = true;
            return;
        }
        cancels_.push_back(id);
    }
    if (prefilling_.load() == id) abort_ = true;
    inbox_ready_.notify_one();
}

void Engine::wait_until_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return stopping_ || (!open_ && preparing_.empty() && inbox_.empty()); });
}

void Engine::refuse(RequestId id, Error error) {
    GenerationUpdate update;
    update.error = std::move(error);
    StepReport report;
    report.updates.emplace_back(id, std::move(update));
    report_(std::move(report));
}

void Engine::prepare_loop() {
    std::unique_lock lock(mutex_);
    while (true) {
        to_prepare_ready_.wait(lock, [&] { return stopping_ || !to_prepare_.empty(); });
        if (stopping_) return;
        Prepared prepared = std::move(to_prepare_.front());
        to_prepare_.pop_front();
        if (preparing_.at(prepared.id)) {  // cancelled before it was looked at
            preparing_.erase(prepared.id);
            idle_.notify_all();
            continue;
        }
        lock.unlock();
        const Result<void> done = prepare(prepared);
        if (!done) refuse(prepared.id, done.error());
        lock.lock();
        const bool cancelled = preparing_.at(prepared.id);
        preparing_.erase(prepared.id);
        if (!done || cancelled) {
            idle_.notify_all();
            continue;
        }
        inbox_.push_back(std::move(prepared));
        inbox_ready_.notify_one();
    }
}

Result<void> Engine::prepare(Prepared& prepared) const {
    GenerationRequest& request = prepared.request;
    const Model::Properties& p = model_->properties();
    const bool embeds = request.task == Task::kEmbed;
    if (!embeds && !p.generates) {
        return fail(ErrorCode::kInvalidArgument, "this model writes no text; it makes embeddings (/v1/embeddings)",
                    "model");
    }
    if (embeds && p.pooling == Pooling::kRank) {
        return fail(ErrorCode::kInvalidArgument, "this model ranks texts; it makes no embeddings", "model");
    }
    const bool chat = std::holds_alternative<std::vector<ChatMessage>>(request.prompt);
    Result<std::vector<Token>> tokens = model_->tokenize(request);
    if (!tokens) return std::unexpected(std::move(tokens.error()));
    const int n = static_cast<int>(tokens->size());
    const int answer = embeds || request.max_tokens == 0 ? 0 : 1;
    if (n + answer > p.context_per_sequence) {
        std::string message =
            fmt::format("the prompt has {} tokens; this model's context holds {}", n, p.context_per_sequence);
        if (answer > 0) message += ", of which at least one must be left for the answer";
        return fail(ErrorCode::kContextOverflow, std::move(message), chat ? "messages" : "prompt");
    }
    prepared.prompt = std::move(*tokens);
    if (!embeds && !(request.grammar.empty() && request.json_schema.empty())) {
        auto grammar = request.grammar.empty() ? Grammar::from_json_schema(*model_, request.json_schema)
                                               : Grammar::from_gbnf(*model_, request.grammar);
        if (!grammar) return std::unexpected(std::move(grammar.error()));
        prepared.grammar = std::move(*grammar);
    }
    const bool scored = request.echo && request.top_logprobs >= 0;
    if (keeper_ != nullptr && answer > 0 && !scored) {
        prepared.on_disk = keeper_->find(request.cache_salt, prepared.prompt);
    }
    if (request.echo) {
        if (auto* text = std::get_if<std::string>(&request.prompt)) {
            prepared.echo = std::move(*text);
        } else {
            std::string bytes;
            for (const Token token : prepared.prompt) bytes += model_->piece(token);
            text::Utf8Stream characters;
            characters.append(bytes, prepared.echo);
            characters.finish(prepared.echo);
        }
    }
    request.prompt = std::string();  // no longer needed
    return {};
}

void Engine::decode_loop() {
    Clock::time_point rate_since = Clock::now();
    int ended = 0;
    bool held = false;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            busy_ = !scheduler_.idle() || open_beside() > 0;
            open_ = busy_ || !fetching_.empty();
            waiting_ = scheduler_.waiting() + open_beside();
            running_ = scheduler_.running();
            width_ = scheduler_.width();
            if (!open_) idle_.notify_all();
            const auto something = [&] {
                return stopping_ || (busy_ && !held) || !inbox_.empty() || !cancels_.empty() || !fetched_.empty() ||
                       !tasks_.empty() || !hot_.empty();
            };
            if (held) {
                inbox_ready_.wait_for(lock, kHoldStep, something);
            } else {
                inbox_ready_.wait(lock, something);
            }
            if (stopping_) return;
            busy_ = open_ = true;  // what is taken from the inbox now is not yet in the scheduler
        }
        StepReport report;
        take_inbox(report);
        expire(report);
        held = !scheduler_.idle() && !run_step(report);
        if (open_beside() > 0) {
            run_beside(report);
            held = false;
        }
        if (!model_->file_intact()) {
            if (config_.on_changed_file) config_.on_changed_file();
            return;
        }
        keep_one_hot_block();
        for (const auto& [id, update] : report.updates) ended += update.last() ? 1 : 0;
        report.stats = stats();
        report_(std::move(report));

        const double elapsed = std::chrono::duration<double>(Clock::now() - rate_since).count();
        if (elapsed >= 1.0) {
            const std::lock_guard lock(mutex_);
            ends_per_s_ = 0.5 * ends_per_s_ + 0.5 * ended / elapsed;
            ended = 0;
            rate_since = Clock::now();
        }
    }
}

void Engine::take_inbox(StepReport& report) {
    std::deque<Prepared> arrived;
    std::deque<RequestId> cancelled;
    std::deque<Fetched> fetched;
    std::deque<std::function<void()>> tasks;
    {
        const std::lock_guard lock(mutex_);
        arrived.swap(inbox_);
        cancelled.swap(cancels_);
        fetched.swap(fetched_);
        tasks.swap(tasks_);
        waiting_ += static_cast<int>(arrived.size());  // until the next step tells better
    }
    for (Prepared& prepared : arrived) {
        if (!fetch_first(prepared)) start(std::move(prepared), report);
    }
    for (const RequestId id : cancelled) {
        cancel_beside(id);
        scheduler_.cancel(id);
        generations_.erase(id);
        fetching_.erase(id);
    }
    for (Fetched& blocks : fetched) take_fetched(std::move(blocks), report);
    for (const auto& task : tasks) task();
    abort_ = false;
}

void Engine::start(Prepared prepared, StepReport& report) {
    if (!start_beside(prepared, report)) schedule(std::move(prepared), report);
}

void Engine::schedule(Prepared prepared, StepReport& report) {
    auto generation = std::make_unique<Generation>(*model_, prepared);
    const std::size_t n = prepared.prompt.size();
    for (std::size_t i = n - std::min<std::size_t>(n, kPenaltyWindowTokens); i < n; ++i) {
        generation->source.accept_prompt(prepared.prompt[i]);
    }
    if (keeper_ != nullptr) salts_.try_emplace(prepared.salt(), prepared.request.cache_salt);
    const auto submitted = duration_cast<microseconds>(prepared.submitted - origin_);
    const auto admission = scheduler_.submit({prepared.id, std::move(prepared.prompt), prepared.request.max_tokens,
                                              prepared.request.priority, prepared.salt()},
                                             submitted);
    if (admission == sched::Scheduler::Admission::kAccepted) {
        generations_.emplace(prepared.id, std::move(generation));
        return;
    }
    GenerationUpdate update;  // both limits were checked before: a bug
    update.error = Error{ErrorCode::kInternal, "the scheduler refused the request"};
    report.updates.emplace_back(prepared.id, std::move(update));
}

sched::Time Engine::now() const {
    return duration_cast<microseconds>(Clock::now() - origin_);
}

void Engine::expire(StepReport& report) {
    if (scheduler_.waiting() == 0) return;
    for (const RequestId id : scheduler_.expire(now())) {
        report.updates.emplace_back(id, timed_out());
        generations_.erase(id);
    }
}

GenerationUpdate Engine::timed_out() const {
    GenerationUpdate update;
    update.error = Error{ErrorCode::kQueueTimeout,
                         fmt::format("the request waited for {} s without beginning",
                                     duration_cast<std::chrono::seconds>(config_.queue_timeout).count())};
    return update;
}

}  // namespace sutazai::engine
