#include "engine/engine.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/token_source.h"
#include "text/stop_matcher.h"
#include "text/utf8_stream.h"

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

/// A step is cut short for a cancelled request when it computes at least this much of its prompt.
constexpr int kWorthAborting = 64;
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

/// One request between its preparation and its end.
struct Engine::Generation {
    RequestId id;
    TokenSource source;
    text::Utf8Stream characters;
    text::StopMatcher stops;
    bool ignore_eos;
    std::string salt;
    Clock::time_point submitted;
    std::optional<Clock::time_point> first_token;
    std::uint32_t n_generated = 0;
    std::size_t n_bytes_out = 0;  ///< of the text

    Generation(const Model& model, Prepared& prepared)
        : id(prepared.id),
          source(model, prepared.request, std::move(prepared.grammar)),
          stops(prepared.request.stop),
          // Where the grammar lets the text end, it may leave nothing else.
          ignore_eos(prepared.request.ignore_eos && !source.has_grammar()),
          salt(prepared.request.cache_salt),
          submitted(prepared.submitted) {}
};

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

bool Engine::run_step(StepReport& report) {
    int preparing = 0;
    {
        const std::lock_guard lock(mutex_);
        preparing = static_cast<int>(preparing_.size() + inbox_.size());
    }
    const sched::Step step = scheduler_.plan(now(), preparing);
    if (!apply_ops(step.ops)) {
        scheduler_.roll_back(step);
        return true;
    }
    if (step.empty()) return !step.held;

    const auto heaviest = std::ranges::max_element(step.chunks, {}, &sched::Chunk::n_tokens);
    const bool mostly_one = heaviest->n_tokens >= kWorthAborting && 2 * heaviest->n_tokens >= step.n_tokens &&
                            (begins_nobody_again(step) || step.chunks.size() == 1);
    prefilling_ = mostly_one ? heaviest->request : 0;
    const auto began = Clock::now();
    const Model::Outcome outcome =
        model_->decode(step, [&](sched::RequestId id) -> const std::vector<Token>& { return scheduler_.chain(id); });
    const auto took = duration_cast<microseconds>(Clock::now() - began);
    prefilling_ = 0;

    ++counters_.steps;
    counters_.step_us += static_cast<std::uint64_t>(took.count());
    switch (outcome) {
        case Model::Outcome::kDone:
            scheduler_.commit(step, took);
            sample(step, report);
            break;
        case Model::Outcome::kAborted: scheduler_.roll_back(step); break;
        case Model::Outcome::kFailed:
            scheduler_.roll_back(step);
            fail_step(step, report);
            break;
    }
    return true;
}

/// Where memory cannot be cut, an aborted step takes all that its chains have computed with it.
bool Engine::begins_nobody_again(const sched::Step& step) const {
    return std::ranges::all_of(step.chunks, [&](const sched::Chunk& chunk) {
        return chunk.first + chunk.n_tokens <= model_->properties().cuttable_tokens;
    });
}

bool Engine::apply_ops(std::span<const sched::KvOp> ops) {
    std::vector<sched::SlotId> incomplete;
    std::vector<sched::Load> loads;  // of the slot that is being filled
    const auto fail_load = [&](const sched::Load& load) {
        scheduler_.restore_failed(load);
        incomplete.push_back(load.slot);
    };
    const auto confirm_loads = [&] {
        if (!loads.empty() && !confirm(loads)) fail_load(loads.front());
        loads.clear();
    };
    for (const sched::KvOp& op : ops) {
        const auto* load_op = std::get_if<sched::Load>(&op);
        if (load_op == nullptr || (!loads.empty() && loads.back().slot != load_op->slot)) confirm_loads();
        if (load_op != nullptr) {
            if (std::ranges::find(incomplete, load_op->slot) != incomplete.end()) continue;
            if (load(*load_op)) {
                loads.push_back(*load_op);
            } else {
                confirm_loads();
                if (incomplete.empty() || incomplete.back() != load_op->slot) fail_load(*load_op);
            }
        } else if (const auto* save_op = std::get_if<sched::Save>(&op)) {
            save(*save_op);
        } else if (const auto* drop = std::get_if<sched::Drop>(&op)) {
            host_states_.erase(drop->block);
        } else {
            model_->apply(op);
        }
    }
    confirm_loads();
    return incomplete.empty();
}

void Engine::save(const sched::Save& save) {
    Result<KvState> state = model_->save(save.slot, save.first, save.n_tokens);
    if (!state) {
        spdlog::warn("{}", state.error().message);
        scheduler_.save_failed(save.block);
        host_states_.emplace(save.block, HostState{});
        return;
    }
    scheduler_.saved(save.block, state->size);
    host_states_.emplace(save.block,
                         HostState{std::make_shared<const KvState>(std::move(*state)), {}, {}, 0, save.n_tokens});
}

bool Engine::load(const sched::Load& load) {
    const HostState& host = host_states_.at(load.block);
    const int begin = load.first - load.first % sched::BlockCache::kBlockTokens;
    const auto began = Clock::now();
    if (host.state == nullptr || !model_->load(load.slot, begin, load.first, load.n_tokens, *host.state)) {
        spdlog::warn("a kept prefix could not be put back; it is computed again");
        if (host.name) keeper_->reject(*host.name);
        return false;
    }
    scheduler_.restored(load.n_tokens, duration_cast<microseconds>(Clock::now() - began));
    if (host.name) counters_.artifact_tokens += static_cast<std::uint64_t>(load.n_tokens);
    return true;
}

bool Engine::confirm(std::span<const sched::Load> loads) {
    // What the model says after the deepest block depends on all of them.
    for (auto load = loads.rbegin(); load != loads.rend(); ++load) {
        HostState& host = host_states_.at(load->block);
        if (!host.canary) continue;
        // After the whole block, also where the request goes on from a part of it.
        const int begin = load->first - load->first % sched::BlockCache::kBlockTokens;
        const float* logits = model_->logits_after(load->slot, begin, host.n_tokens, *host.state, host.last);
        if (logits == nullptr) return true;  // aborted: another time
        const auto verdict = artifact::compare(
            *host.canary, std::span(logits, static_cast<std::size_t>(model_->properties().vocabulary)));
        if (!verdict.matches) {
            spdlog::warn("artifacts are not what they should be ({}); they are dropped and computed again",
                         verdict.reason);
            for (const sched::Load& each : loads) {
                if (const auto& name = host_states_.at(each.block).name) keeper_->reject(*name);
            }
            return false;
        }
        for (const sched::Load& each : loads) host_states_.at(each.block).canary.reset();
        return true;
    }
    return true;
}

void Engine::sample(const sched::Step& step, StepReport& report) {
    struct Drawn {
        Generation* generation;
        float* logits;
        Token token;
    };
    std::vector<Drawn> drawn;
    for (std::size_t i = 0; i < step.chunks.size(); ++i) {
        if (!step.chunks[i].wants_logits) continue;
        drawn.push_back({generations_.at(step.chunks[i].request).get(), model_->logits(i), 0});
    }
    const auto vocabulary = static_cast<std::size_t>(model_->properties().vocabulary);
    const auto n = static_cast<int>(drawn.size());
    // On llama.cpp's own OpenMP team, which is still awake.
#pragma omp parallel for schedule(dynamic) if (n > 1 && vocabulary * static_cast <std::size_t>(n) > 100'000)
    for (int i = 0; i < n; ++i) {
        Drawn& d = drawn[static_cast<std::size_t>(i)];
        d.token = d.generation->source.draw({d.logits, vocabulary});
    }
    for (const Drawn& d : drawn) deliver(*d.generation, d.token, report);
}

void Engine::deliver(Generation& generation, Token token, StepReport& report) {
    if (token == TokenSource::kNoToken || !generation.source.accept(token)) {
        fail_request(generation.id, "the grammar lets no token come next, or takes too long to tell", report);
        return;
    }
    ++generation.n_generated;
    ++counters_.generation_tokens;
    if (!generation.first_token) {
        generation.first_token = Clock::now();
        const auto view = scheduler_.view(generation.id);
        counters_.prompt_tokens += static_cast<std::uint64_t>(view.prompt_tokens);
        counters_.cached_tokens += static_cast<std::uint64_t>(view.cached_tokens);
    }
    GenerationUpdate update;
    update.n_tokens = 1;
    const bool more = scheduler_.append(generation.id, token);
    if (!generation.ignore_eos && model_->ends_generation(token)) {
        end(generation, FinishReason::kStop, std::move(update), report);
        return;
    }
    std::string piece;
    model_->append_piece(token, piece);
    std::string text;
    generation.characters.append(piece, text);
    generation.source.made_text(text.size());
    if (generation.stops.push(text, update.text)) {
        end(generation, FinishReason::kStop, std::move(update), report);
    } else if (!more) {
        end(generation, FinishReason::kLength, std::move(update), report);
    } else {
        generation.n_bytes_out += update.text.size();
        generation.source.release(generation.n_bytes_out, false, false, update.scores);
        report.updates.emplace_back(generation.id, std::move(update));
    }
}

void Engine::end(Generation& generation, FinishReason reason, GenerationUpdate update, StepReport& report) {
    if (!generation.stops.matched()) {
        std::string tail;
        generation.characters.finish(tail);
        if (!generation.stops.push(tail, update.text)) generation.stops.finish(update.text);
    }
    generation.source.release(generation.n_bytes_out + update.text.size(), true, generation.stops.matched(),
                              update.scores);
    const auto view = scheduler_.view(generation.id);
    const auto first = *generation.first_token;
    const auto begun = origin_ + *view.begun;
    Finished finished;
    finished.reason = reason;
    finished.usage = {static_cast<std::uint32_t>(view.prompt_tokens), generation.n_generated,
                      static_cast<std::uint32_t>(view.cached_tokens)};
    finished.timings = {duration_cast<microseconds>(begun - generation.submitted),
                        duration_cast<microseconds>(first - begun), duration_cast<microseconds>(Clock::now() - first)};
    update.finished = finished;
    report.updates.emplace_back(generation.id, std::move(update));
    note_reuse(generation.id, generation.salt, view.cached_tokens);
    scheduler_.finish(generation.id);
    generations_.erase(generation.id);
}

void Engine::fail_step(const sched::Step& step, StepReport& report) {
    for (const sched::Chunk& chunk : step.chunks) {
        fail_request(chunk.request, "the model could not compute this step", report);
    }
}

void Engine::fail_request(RequestId id, const char* why, StepReport& report) {
    GenerationUpdate update;
    update.error = Error{ErrorCode::kInternal, why};
    report.updates.emplace_back(id, std::move(update));
    scheduler_.cancel(id);
    generations_.erase(id);
}

EngineStats Engine::stats() const {
    EngineStats stats = counters_;
    stats.running = scheduler_.running();
    stats.waiting = scheduler_.waiting();
    stats.width = scheduler_.width();
    stats.preemptions = scheduler_.preemptions();
    stats.restored_tokens = scheduler_.restored_tokens();
    stats.host_bytes = scheduler_.host().bytes();
    stats.kv_cells_used = scheduler_.cells().used();
    stats.kv_cells = scheduler_.cells().total();
    stats.prefixes = scheduler_.kept();
    if (keeper_ != nullptr) {
        const ArtifactKeeper::Stats artifacts = keeper_->stats();
        stats.artifacts = artifacts.artifacts;
        stats.artifact_bytes = artifacts.bytes;
    }
    return stats;
}

}  // namespace sutazai::engine
