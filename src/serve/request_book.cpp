#include "serve/request_book.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "serve/request_id.h"

namespace sutazai::serve {

namespace {

using Clock = RequestRecord::Clock;

bool is_generation(Operation operation) {
    return operation == Operation::kChat || operation == Operation::kCompletion;
}

bool holds_something(const GenerationUpdate& update) {
    return !update.delta.empty() || !update.embedding.empty() || !update.scores.empty();
}

void add_prompt(PromptProgress& total, const PromptProgress& before, const PromptProgress& now) {
    total.prompt_tokens += now.prompt_tokens - before.prompt_tokens;
    total.ready_tokens += now.ready_tokens - before.ready_tokens;
    total.shared_tokens += now.shared_tokens - before.shared_tokens;
    total.kept_tokens += now.kept_tokens - before.kept_tokens;
    total.host_tokens += now.host_tokens - before.host_tokens;
    total.artifact_tokens += now.artifact_tokens - before.artifact_tokens;
    total.queued = std::max(total.queued, now.queued);
}

std::chrono::microseconds sum(const Timings& timings) {
    return timings.queued + timings.prefill + timings.decode;
}

/// A name that was asked for and may be anything.
std::string in_one_word(std::string_view name) {
    constexpr std::size_t kMostBytes = 128;
    if (name.empty()) return "-";
    std::string word(name.substr(0, kMostBytes));
    std::ranges::replace_if(
        word, [](unsigned char c) { return c <= ' ' || c == '=' || c == 0x7f; }, '_');
    return word;
}

double seconds_since(Clock::time_point from, const std::optional<Clock::time_point>& to) {
    return to ? std::chrono::duration<double>(*to - from).count() : 0;
}

}  // namespace

std::size_t RequestBook::ahead_of(const RequestRecord& record) const {
    std::size_t n = 0;
    for (const RequestRecord& other : open_) {
        if (other.number >= record.number) break;
        if (other.phase() == Phase::kQueue && other.model == record.model) ++n;
    }
    return n;
}

OpenRequest::OpenRequest(RequestBook& book, const Caller& caller, std::string model, const GenerationRequest& first,
                         std::size_t n_generations, bool streams)
    : book_(book), record_(book.open_.insert(book.open_.end(), RequestRecord{})) {
    RequestRecord& record = *record_;
    record.number = ++book.n_begun_;
    record.id = caller.request_id.empty() ? new_request_id() : caller.request_id;
    record.traceparent = caller.traceparent;
    record.route = caller.route;
    record.tenant = caller.tenant;
    record.background = caller.background;
    record.model = std::move(model);
    record.streams = streams;
    record.arrived = caller.arrived.value_or(Clock::now());
    record.arrived_at = std::chrono::system_clock::now() -
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(Clock::now() - record.arrived);
    record.n_generations = n_generations;
    record.operation = operation_of(first);
    record.max_tokens = first.max_tokens;
    record.temperature = first.sampling.temperature;
    ones_.resize(n_generations);
}

OpenRequest::~OpenRequest() {
    if (!record_->ended) {
        const Error gone{ErrorCode::kCancelled, {}};
        end(&gone);
    }
    book_.open_.erase(record_);
}

void OpenRequest::leased(const models::Lease& lease) {
    record_->leased = Clock::now();
    record_->model = lease.model();
    record_->upstream = lease.upstream();
    if (book_.settings_.performance_monitoring) metrics_ = &book_.metrics_[record_->model];
}

void OpenRequest::listen_to(Generations& generations) {
    generations.on_prompt([this](std::size_t index, const PromptProgress& progress) { note_prompt(index, progress); });
}

void OpenRequest::note_prompt(std::size_t index, const PromptProgress& progress) {
    if (index >= ones_.size()) return;
    RequestRecord& record = *record_;
    if (!record.begun) record.begun = Clock::now();
    add_prompt(record.prompt, ones_[index].prompt, progress);
    ones_[index].prompt = progress;
}

void OpenRequest::take(std::span<const Generations::Event> events) {
    if (events.empty()) return;
    RequestRecord& record = *record_;
    const Clock::time_point now = Clock::now();
    for (const auto& [index, update] : events) {
        record.generated_tokens += update.n_tokens;
        if (metrics_ != nullptr && update.n_tokens > 0) {
            metrics_->generated_tokens += update.n_tokens;
            metrics_->tokens.add(update.n_tokens, now);
        }
        if (index >= ones_.size()) continue;
        One& one = ones_[index];
        if (holds_something(update)) {
            const bool measured = metrics_ != nullptr && is_generation(record.operation);
            if (measured && !record.first_token) metrics_->ttft.observe(now - record.arrived);
            if (measured && one.last_text) metrics_->itl.observe(now - *one.last_text);
            if (!record.first_token) record.first_token = now;
            record.last_token = now;
            one.last_text = now;
        }
        if (update.last() && !std::exchange(one.has_ended, true)) ++record.n_ended;
        if (update.finished) note_end(*update.finished);
    }
}

void OpenRequest::note_end(const Finished& finished) {
    RequestRecord& record = *record_;
    record.finish = finished.reason;
    record.prompt_tokens += finished.usage.prompt_tokens;
    record.cached_tokens += finished.usage.cached_tokens;
    record.reasoning_tokens += finished.usage.reasoning_tokens;
    if (sum(finished.timings) >= sum(record.timings)) record.timings = finished.timings;
}

void OpenRequest::end(const Error* error) {
    RequestRecord& record = *record_;
    record.ended = Clock::now();
    if (error != nullptr) record.error = error->code;
    log_line();
    ++book_.n_ended_;
    if (book_.on_end) book_.on_end(record);
    if (!book_.settings_.performance_monitoring) return;
    measure_end();
    if (book_.ended_.size() >= RequestBook::kMostEnded) book_.ended_.pop_front();
    book_.ended_.push_back(record);
}

void OpenRequest::measure_end() {
    const RequestRecord& record = *record_;
    ModelMetrics& metrics = metrics_ != nullptr ? *metrics_ : book_.metrics_[""];
    ++metrics.requests;
    ++metrics.outcomes[record.outcome()];
    metrics.prompt_tokens += record.prompt_tokens;
    metrics.cached_tokens += record.cached_tokens;
    metrics.reasoning_tokens += record.reasoning_tokens;
    if (record.error || record.n_ended == 0 || !is_generation(record.operation)) return;
    metrics.queue.observe(record.timings.queued);
    metrics.prefill.observe(record.timings.prefill);
    metrics.decode.observe(record.timings.decode);
    metrics.e2e.observe(*record.ended - record.arrived);
}

/// Nothing of what was asked or answered: the log may be read by others.
void OpenRequest::log_line() const {
    const RequestRecord& record = *record_;
    std::string line = fmt::format("request {} {} {} model={}", record.id, record.route.empty() ? "-" : record.route,
                                   to_string(record.operation), in_one_word(record.model));
    const auto out = std::back_inserter(line);
    if (!record.upstream.empty()) fmt::format_to(out, " upstream={}", record.upstream);
    fmt::format_to(out, " prompt_tokens={} cached_tokens={} tokens={}", record.prompt_tokens, record.cached_tokens,
                   record.generated_tokens);
    fmt::format_to(out, " model_s={:.3f} queue_s={:.3f} ttft_s={:.3f} total_s={:.3f} outcome={}",
                   seconds_since(record.arrived, record.leased),
                   std::chrono::duration<double>(record.timings.queued).count(),
                   seconds_since(record.arrived, record.first_token), seconds_since(record.arrived, record.ended),
                   record.outcome());
    spdlog::info("{}", line);
}

}  // namespace sutazai::serve
