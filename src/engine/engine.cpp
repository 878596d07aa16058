#include "engine/engine.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>
#include <numeric>
#include <utility>

#include "base/utf8_stream.h"
#include "engine/engine_generation.h"

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
constexpr std::chrono::milliseconds kExpiryStep{100};
/// Bytes of prompt and grammar that are prepared within a few milliseconds.
constexpr std::size_t kShortBytes = std::size_t{16} << 10;

sched::Limits limits_of(const Model& model, const EngineConfig& config) {
    const Model::Properties& p = model.properties();
    sched::Limits limits;
    limits.kv_cells = p.kv_cells;
    limits.context_per_sequence = p.context_per_sequence;
    limits.slots = p.slots;
    limits.batch_size = std::clamp(static_cast<int>(config.batch_size), 1, p.slots);
    limits.batch_size_max = std::clamp(static_cast<int>(config.batch_size_max), limits.batch_size, p.slots);
    limits.forks_at_once = 2 * limits.batch_size_max;
    limits.batch_tokens = std::max(static_cast<int>(config.batch_tokens), limits.batch_size_max);
    limits.row_group = kRowGroup;
    limits.queue_timeout = config.queue_timeout;
    limits.batch_timeout = config.batch_timeout;
    limits.max_queue = std::numeric_limits<int>::max();  // the engine's own limit counts requests in preparation too
    limits.prefix_sharing = config.prefix_sharing;
    limits.cuttable_tokens = p.cuttable_tokens;
    limits.token_gap = config.token_gap;
    limits.host_bytes = p.state_bytes_per_token > 0 ? config.prefix_cache_bytes : 0;
    limits.host_bytes_per_token = p.state_bytes_per_token;
    return limits;
}

bool is_long(const GenerationRequest& request) {
    std::size_t n_bytes = request.grammar.size() + request.json_schema.size();
    if (const auto* text = std::get_if<std::string>(&request.prompt)) n_bytes += text->size();
    if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
        for (const ChatMessage& message : chat->messages) {
            n_bytes += message.reasoning.size();
            for (const ContentPart& part : message.content) n_bytes += part.text.size();
        }
    }
    return n_bytes > kShortBytes;
}

}  // namespace

Engine::Engine(std::unique_ptr<Model> model, const EngineConfig& config, std::function<void(StepReport)> report,
               std::function<void(const std::string&)> on_death)
    : model_(std::move(model)),
      config_(config),
      report_(std::move(report)),
      on_death_(std::move(on_death)),
      scheduler_(limits_of(*model_, config)),
      embeddings_(model_->beside(SideContext::Kind::kEmbeddings)),
      scores_(model_->beside(SideContext::Kind::kScores)) {
    width_ = scheduler_.width();
    const Model::Properties& p = model_->properties();
    if (!config_.artifacts.folder.empty() && scheduler_.host().budget() > 0) {
        const std::uint64_t most = p.state_bytes_per_token * artifact::kBlockTokens * 2 + (1U << 20);
        config_.artifacts.loaded_files = p.files;
        keeper_ = std::make_unique<ArtifactKeeper>(config_.artifacts, p.fingerprint, most);
    }
    // Asked after each operation of a step: a step may take minutes on a slow machine, an operation does not.
    model_->set_abort_check([this] {
        decoding_.advance();
        return abort_.load(std::memory_order_relaxed);
    });
    for (SideContext* side : {embeddings_.get(), scores_.get()}) side->on_progress([this] { decoding_.advance(); });
    prepare_short_thread_ = guarded("the preparation thread of short requests", &Engine::prepare_short);
    prepare_thread_ = guarded("the preparation thread", &Engine::prepare_all);
    decode_thread_ = guarded("the decode thread", &Engine::decode_loop);
}

Engine::~Engine() {
    stop();
}

void Engine::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const auto& [id, state] : preparing_) state->unwanted = true;
    }
    abort_ = true;
    to_prepare_ready_.notify_all();
    inbox_ready_.notify_all();
    idle_.notify_all();
}

void Engine::end_process(const std::string& why) {
    spdlog::critical("the engine ends: {}", why);
    std::_Exit(1);
}

std::jthread Engine::guarded(const char* name, void (Engine::*loop)()) {
    return std::jthread([this, name, loop] {
        try {
            (this->*loop)();
        } catch (const std::exception& e) {
            on_death_(fmt::format("{} died: {}", name, e.what()));
        } catch (...) {
            on_death_(fmt::format("{} died", name));
        }
    });
}

std::vector<Work> Engine::works() const {
    std::vector<Work> works;
    const auto add = [&](const char* what, const Progress& progress) {
        if (progress.at_work()) works.push_back({what, progress.count()});
    };
    add("a step", decoding_);
    add("the preparation of a request", preparing_progress_);
    add("the preparation of a short request", preparing_short_progress_);
    if (keeper_ != nullptr) {
        // Else nobody waits for it.
        const std::lock_guard lock(mutex_);
        if (fetches_ || ordered_) add("cache artifacts", keeper_->progress());
    }
    return works;
}

void Engine::submit(RequestId id, GenerationRequest request) {
    bool full = false;
    int retry_after = 0;
    const int n = request.n;
    {
        const std::lock_guard lock(mutex_);
        const int places = std::max(0, width_ - running_);
        // A request for many answers is taken whole where one of its answers has a place.
        full = waiting_ + n_preparing_ + n_inbox_ >= static_cast<int>(config_.max_queue) + places;
        if (full) {
            retry_after = retry_after_s();
        } else {
            auto state = std::make_shared<Preparing>();
            state->n = n;
            state->is_long = is_long(request);
            n_preparing_ += n;
            auto& queue = state->is_long ? long_ : short_;
            preparing_.emplace(id, std::move(state));
            queue.push_back({id, std::move(request), {}, Clock::now(), {}});
        }
    }
    if (!full) {
        to_prepare_ready_.notify_all();
        return;
    }
    Error error{ErrorCode::kQueueFull,
                fmt::format("{} requests are waiting for this model already", config_.max_queue)};
    error.retry_after_s = retry_after;
    std::vector<RequestId> ids(static_cast<std::size_t>(n));
    std::iota(ids.begin(), ids.end(), id);
    refuse(ids, error);
}

/// Seconds until the queue has shrunk by a quarter at the rate of the last ends.
int Engine::retry_after_s() const {
    if (ends_per_s_ <= 0) return 1;
    return static_cast<int>(std::clamp(std::ceil(config_.max_queue / 4.0 / ends_per_s_), 1.0, 60.0));
}

void Engine::cancel(RequestId id) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = request_of(preparing_, id); found != preparing_.end()) {
            Preparing& state = *found->second;
            state.cancelled.insert(id);
            if (std::cmp_equal(state.cancelled.size(), state.n)) state.unwanted = true;
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

void Engine::refuse(const std::vector<RequestId>& ids, const Error& error) {
    StepReport report;
    for (const RequestId id : ids) {
        GenerationUpdate update;
        update.error = error;
        report.updates.emplace_back(id, std::move(update));
    }
    report_(std::move(report));
}

std::vector<RequestId> Engine::Prepared::wanted() const {
    std::vector<RequestId> ids;
    for (RequestId answer = id; answer < id + static_cast<RequestId>(request.n); ++answer) {
        if (!cancelled.contains(answer)) ids.push_back(answer);
    }
    return ids;
}

bool Engine::is_late(const Prepared& prepared) const {
    return config_.queue_timeout > microseconds(0) && Clock::now() - prepared.submitted > config_.queue_timeout;
}

void Engine::prepare_loop(bool takes_long) {
    std::unique_lock lock(mutex_);
    while (true) {
        to_prepare_ready_.wait(lock, [&] { return stopping_ || !short_.empty() || (takes_long && !long_.empty()); });
        if (stopping_) return;
        std::deque<Prepared>& queue = takes_long && !long_.empty() ? long_ : short_;
        Prepared prepared = std::move(queue.front());
        queue.pop_front();
        const std::shared_ptr<Preparing> state = preparing_.at(prepared.id);
        lock.unlock();
        Result<void> done = fail(ErrorCode::kCancelled, "the request was cancelled");
        if (!state->unwanted) {
            const Progress::Turn turn(takes_long ? preparing_progress_ : preparing_short_progress_);
            done = prepare_guarded(prepared, state->unwanted);
        }
        if (!done && done.error().code == ErrorCode::kCancelled && is_late(prepared))
            done = std::unexpected(timed_out());
        lock.lock();
        prepared.cancelled = state->cancelled;
        const std::vector<RequestId> wanted = prepared.wanted();
        if (!done && !wanted.empty()) {
            lock.unlock();
            refuse(wanted, done.error());  // before nothing is open any more
            lock.lock();
        }
        preparing_.erase(prepared.id);
        n_preparing_ -= state->n;
        if (done && !wanted.empty()) {
            n_inbox_ += static_cast<int>(wanted.size());
            inbox_.push_back(std::move(prepared));
            inbox_ready_.notify_one();
        } else {
            idle_.notify_all();
        }
    }
}

/// What one request is too much for must not cost the others.
Result<void> Engine::prepare_guarded(Prepared& prepared, const std::atomic<bool>& unwanted) const {
    try {
        return prepare(prepared, unwanted);
    } catch (const std::exception& e) {
        return fail(ErrorCode::kInternal, fmt::format("the request could not be prepared: {}", e.what()));
    }
}

Result<void> Engine::prepare(Prepared& prepared, const std::atomic<bool>& unwanted) const {
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
    if (std::holds_alternative<Chat>(request.prompt)) prepared.input_field = "messages";
    const int answer = embeds || request.max_tokens == 0 ? 0 : 1;
    Result<std::vector<Token>> tokens =
        model_->tokenize(request, static_cast<std::size_t>(p.context_per_sequence - answer),
                         [&] { return unwanted.load(std::memory_order_relaxed) || is_late(prepared); });
    if (!tokens && tokens.error().code == ErrorCode::kContextOverflow) {
        tokens.error().message += fmt::format("; this model's context holds {}", p.context_per_sequence);
        if (answer > 0) tokens.error().message += ", of which at least one must be left for the answer";
    }
    if (!tokens) return std::unexpected(std::move(tokens.error()));
    prepared.prompt = std::move(*tokens);
    if (!embeds) {
        auto grammar = model_->grammar_of(request);
        if (!grammar) return std::unexpected(std::move(grammar.error()));
        if (*grammar != nullptr) {
            for (int i = 1; i < request.n; ++i) prepared.grammars.push_back((*grammar)->clone());
            prepared.grammars.push_back(std::move(*grammar));
        }
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
            Utf8Stream characters;
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
            fetches_ = !fetching_.empty();
            open_ = busy_ || fetches_;
            waiting_ = scheduler_.waiting() + open_beside() + fetching();
            running_ = scheduler_.running();
            width_ = scheduler_.width();
            if (!open_) idle_.notify_all();
            if (!busy_) decoding_.end();
            const auto something = [&] {
                return stopping_ || (busy_ && !held) || !inbox_.empty() || !cancels_.empty() || !fetched_.empty() ||
                       !tasks_.empty() || !drawn_.empty() || !hot_.empty();
            };
            if (held) {
                inbox_ready_.wait_for(lock, kHoldStep, something);
            } else if (!fetching_.empty() && config_.queue_timeout > microseconds(0)) {
                inbox_ready_.wait_for(lock, kExpiryStep, something);  // a disk that hangs must not keep them for ever
            } else {
                inbox_ready_.wait(lock, something);
            }
            if (stopping_) return;
            busy_ = open_ = true;  // what is taken from the inbox now is not yet in the scheduler
        }
        decoding_.begin();
        const std::uint64_t steps = counters_.steps;
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
        // A loop that computes nothing and ends nothing, again and again, does not get on.
        if (held || counters_.steps != steps || open_beside() > 0 || !report.updates.empty()) decoding_.advance();
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
    decltype(drawn_) drawn;
    {
        const std::lock_guard lock(mutex_);
        arrived.swap(inbox_);
        cancelled.swap(cancels_);
        fetched.swap(fetched_);
        tasks.swap(tasks_);
        drawn.swap(drawn_);
        waiting_ += std::exchange(n_inbox_, 0);  // until the next step tells better
    }
    for (Prepared& prepared : arrived) {
        if (!fetch_first(prepared)) start(std::move(prepared), report);
    }
    for (const RequestId id : cancelled) {
        cancel_beside(id);
        scheduler_.cancel(id);
        forget(id);
        if (const auto found = request_of(fetching_, id); found != fetching_.end()) {
            found->second.cancelled.insert(id);
            if (found->second.wanted().empty()) fetching_.erase(found);
        }
    }
    for (const auto& [generation, token] : drawn) take_drawn(generation, token, report);
    for (Fetched& blocks : fetched) take_fetched(std::move(blocks), report);
    for (const auto& task : tasks) task();
    abort_ = false;
}

void Engine::start(Prepared prepared, StepReport& report) {
    if (!start_beside(prepared, report)) schedule(std::move(prepared), report);
}

void Engine::schedule(Prepared prepared, StepReport& report) {
    const std::size_t n = prepared.prompt.size();
    const auto window = std::span(prepared.prompt).last(std::min<std::size_t>(n, kPenaltyWindowTokens));
    const std::vector<RequestId> answers = prepared.wanted();
    const std::optional<std::uint64_t> seed = prepared.request.sampling.seed;
    for (const RequestId id : answers) {
        const auto index = static_cast<std::size_t>(id - prepared.id);
        if (seed) prepared.request.sampling.seed = *seed + index;
        std::unique_ptr<Grammar> grammar;
        if (!prepared.grammars.empty()) grammar = std::move(prepared.grammars[index]);
        auto generation = std::make_shared<Generation>(*model_, prepared, id, std::move(grammar));
        for (const Token token : window) generation->source.accept_prompt(token);
        generations_.emplace(id, std::move(generation));
    }
    if (keeper_ != nullptr) salts_.try_emplace(prepared.salt(), prepared.request.cache_salt);
    const auto submitted = duration_cast<microseconds>(prepared.submitted - origin_);
    const auto admission = scheduler_.submit({.id = answers.front(),
                                              .prompt = std::move(prepared.prompt),
                                              .max_new_tokens = prepared.request.max_tokens,
                                              .priority = prepared.request.priority,
                                              .salt = prepared.salt(),
                                              .forks = {answers.begin() + 1, answers.end()}},
                                             submitted);
    if (admission == sched::Scheduler::Admission::kAccepted) return;
    for (const RequestId id : answers) generations_.erase(id);
    // Both limits were checked before: a bug.
    fail_all(prepared, {ErrorCode::kInternal, "the scheduler refused the request"}, report);
}

void Engine::fail_all(const Prepared& prepared, const Error& error, StepReport& report) const {
    for (const RequestId id : prepared.wanted()) {
        GenerationUpdate update;
        update.error = error;
        report.updates.emplace_back(id, std::move(update));
    }
}

sched::Time Engine::now() const {
    return duration_cast<microseconds>(Clock::now() - origin_);
}

/// Answers that wait for artifacts.
int Engine::fetching() const {
    int n = 0;
    for (const auto& [id, prepared] : fetching_) n += static_cast<int>(prepared.wanted().size());
    return n;
}

void Engine::expire(StepReport& report) {
    std::erase_if(fetching_, [&](const auto& entry) {
        if (!is_late(entry.second)) return false;
        fail_all(entry.second, timed_out(), report);
        return true;
    });
    if (scheduler_.waiting() == 0) return;
    for (const RequestId id : scheduler_.expire(now())) {
        GenerationUpdate update;
        update.error = timed_out();
        report.updates.emplace_back(id, std::move(update));
        forget(id);
    }
}

Error Engine::timed_out() const {
    return {ErrorCode::kQueueTimeout, fmt::format("the request waited for {} s without beginning",
                                                  duration_cast<std::chrono::seconds>(config_.queue_timeout).count())};
}

}  // namespace sutazai::engine
