#include "batches/desk.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sutazai::batches {

namespace {

using std::chrono::seconds;

constexpr seconds kLongestPause{60};

/// What an error means for the line that it came of.
enum class Fault : std::uint8_t {
    kOwn,       // it would come again
    kBusy,      // too much is asked of the server
    kEngine,    // the engine has died of it, or of another one
    kMayPass,   // it may go better another time
    kNoLoading  // nor will any other line of its model do better
};

Fault fault_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kUnauthorized:
        case ErrorCode::kForbidden:
        case ErrorCode::kNotFound:
        case ErrorCode::kMethodNotAllowed:
        case ErrorCode::kPayloadTooLarge:
        case ErrorCode::kUnsupportedMedia:
        case ErrorCode::kContextOverflow: return Fault::kOwn;
        case ErrorCode::kQueueFull:
        case ErrorCode::kQueueTimeout:
        case ErrorCode::kUnavailable:
        case ErrorCode::kCancelled: return Fault::kBusy;
        case ErrorCode::kEngineDied: return Fault::kEngine;
        case ErrorCode::kUpstreamFailed:
        case ErrorCode::kUpstreamTimeout:
        case ErrorCode::kInternal: return Fault::kMayPass;
        case ErrorCode::kLoadFailed: return Fault::kNoLoading;
    }
    return Fault::kOwn;
}

}  // namespace

void Desk::add_batch(std::int64_t batch) {
    batches_.try_emplace(batch);
}

void Desk::remove_batch(std::int64_t batch) {
    batches_.erase(batch);
}

std::optional<Desk::Wanted> Desk::wants_lines(Time now) {
    for (auto& [number, batch] : batches_) {
        if (batch.all_read || batch.reading) continue;
        const std::size_t most = model_of(batch, now) == nullptr ? kMostAhead - kAhead : kAhead / 2;
        if (batch.waiting.size() > most) continue;
        batch.reading = true;
        return Wanted{number, batch.last_read};
    }
    return std::nullopt;
}

void Desk::add_lines(std::int64_t number, std::vector<LineRecord> lines, bool last) {
    const auto found = batches_.find(number);
    if (found == batches_.end()) return;
    Batch& batch = found->second;
    batch.reading = false;
    batch.all_read = last;
    if (!lines.empty()) batch.last_read = lines.back();
    for (LineRecord& line : lines) batch.waiting.push_back({.batch = number, .line = std::move(line)});
}

void Desk::no_lines(std::int64_t number) {
    const auto found = batches_.find(number);
    if (found != batches_.end()) found->second.reading = false;
}

/// Of the first line that can run; null: none can.
const std::string* Desk::model_of(const Batch& batch, Time now) const {
    for (const auto* tasks : {&batch.suspects, &batch.waiting}) {
        for (const Task& task : *tasks) {
            if (can_run(task.line.model, now)) return &task.line.model;
        }
    }
    return nullptr;
}

/// Who has lines of that model and has had to wait longest.
Desk::Batch* Desk::next_batch(const std::string& model) {
    Batch* best = nullptr;
    for (auto& [number, batch] : batches_) {
        const auto is_its = [&](const Task& task) { return task.line.model == model; };
        if (std::ranges::none_of(batch.suspects, is_its) && std::ranges::none_of(batch.waiting, is_its)) continue;
        if (best == nullptr || batch.turn < best->turn) best = &batch;
    }
    return best;
}

bool Desk::can_run(const std::string& model, Time now) const {
    const auto found = models_.find(model);
    return found == models_.end() || found->second.paused_until <= now;
}

/// Another model's turn, when there is one to be had and this one has nothing, is paused or had its time. False when
/// nothing can run at all.
bool Desk::choose_model(Time now) {
    const bool goes_on = model_ && can_run(*model_, now) && next_batch(*model_) != nullptr;
    if (goes_on && now - turn_began_ < kTurn) return true;
    const Batch* best = nullptr;
    for (const auto& [number, batch] : batches_) {
        const std::string* its = model_of(batch, now);
        if (its == nullptr || (goes_on && *its == *model_)) continue;
        if (best == nullptr || batch.turn < best->turn) best = &batch;
    }
    if (best == nullptr) return goes_on;
    model_ = *model_of(*best, now);
    turn_began_ = now;
    return true;
}

Task Desk::take(std::int64_t number, Batch& batch, std::deque<Task>& from, const std::deque<Task>::iterator& at) {
    Task task = std::move(*at);
    from.erase(at);
    task.batch = number;
    batch.turn = ++turns_;
    ++batch.n_running;
    ++n_running_;
    ++models_[task.line.model].n_running;
    return task;
}

std::optional<Task> Desk::next(Time now, std::size_t width) {
    if (!choose_model(now)) return std::nullopt;
    Model& model = models_[*model_];
    if (model.one_alone) return std::nullopt;
    const auto is_its = [this](const Task& task) { return task.line.model == *model_; };
    for (auto& [number, batch] : batches_) {
        const auto suspect = std::ranges::find_if(batch.suspects, is_its);
        if (suspect == batch.suspects.end()) continue;
        if (model.n_running > 0) return std::nullopt;
        Task task = take(number, batch, batch.suspects, suspect);
        task.alone = true;
        model.one_alone = true;
        return task;
    }
    if (model.n_running >= width) return std::nullopt;
    Batch* batch = next_batch(*model_);
    const auto line = std::ranges::find_if(batch->waiting, is_its);
    return take(line->batch, *batch, batch->waiting, line);
}

void Desk::let_go(const Task& task) {
    --n_running_;
    Model& model = models_[task.line.model];
    --model.n_running;
    if (task.alone) model.one_alone = false;
    const auto found = batches_.find(task.batch);
    if (found != batches_.end()) --found->second.n_running;
}

void Desk::put_back(Task task) {
    let_go(task);
    const auto found = batches_.find(task.batch);
    if (found == batches_.end()) return;
    auto& queue = task.n_deaths > 0 ? found->second.suspects : found->second.waiting;
    task.alone = false;
    queue.push_front(std::move(task));
}

void Desk::pause(const Task& task, const Error& error, Time now) {
    const seconds longer{1LL << std::min(task.n_tries, 5)};
    const seconds wait = std::min(std::max(longer, seconds(error.retry_after_s)), kLongestPause);
    Time& until = models_[task.line.model].paused_until;
    until = std::max(until, now + wait);
}

bool Desk::ended(Task task, const std::optional<Error>& error, Time now) {
    Model& model = models_[task.line.model];
    if (!error) {
        model.broken = false;
        let_go(task);
        return true;
    }
    const Fault fault = fault_of(error->code);
    const bool counts = fault == Fault::kMayPass || fault == Fault::kNoLoading;
    if (counts) ++task.n_tries;
    if (fault == Fault::kEngine) ++task.n_deaths;
    const bool given_up = task.n_tries >= kMostTries || task.n_deaths >= kMostDeaths;
    if (fault == Fault::kNoLoading && given_up) model.broken = true;
    if (fault == Fault::kOwn || given_up || (fault == Fault::kNoLoading && model.broken)) {
        let_go(task);
        return true;
    }
    if (counts || fault == Fault::kBusy) pause(task, *error, now);
    put_back(std::move(task));
    return false;
}

bool Desk::is_done(std::int64_t number) const {
    const auto found = batches_.find(number);
    if (found == batches_.end()) return true;
    const Batch& batch = found->second;
    return batch.all_read && batch.waiting.empty() && batch.suspects.empty() && batch.n_running == 0;
}

std::optional<Desk::Time> Desk::next_time(Time now) const {
    std::optional<Time> earliest;
    for (const auto& [name, model] : models_) {
        if (model.paused_until > now && (!earliest || model.paused_until < *earliest)) earliest = model.paused_until;
    }
    return earliest;
}

void Desk::check() const {
    std::size_t of_batches = 0;
    std::size_t of_models = 0;
    for (const auto& [number, batch] : batches_) of_batches += batch.n_running;
    for (const auto& [name, model] : models_) of_models += model.n_running;
    if (of_models != n_running_ || of_batches > n_running_) std::abort();
}

}  // namespace sutazai::batches
