#include "engine/preparation.h"

#include <fmt/format.h>

#include <exception>
#include <utility>
#include <variant>

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;

/// Bytes of prompt and grammar that are prepared within a few milliseconds.
constexpr std::size_t kShortBytes = std::size_t{16} << 10;

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

Preparation::Preparation(const Model& model, ArtifactKeeper* keeper, QueueTimeout timeout, Mailbox& mailbox,
                         std::function<void(StepReport)> report, const OnDeath& on_death)
    : model_(model), keeper_(keeper), timeout_(timeout), mailbox_(mailbox), report_(std::move(report)) {
    short_thread_ =
        guarded_thread("the preparation thread of short requests", on_death, [this] { loop(/*takes_long=*/false); });
    thread_ = guarded_thread("the preparation thread", on_death, [this] { loop(/*takes_long=*/true); });
}

Preparation::~Preparation() {
    stop();
}

void Preparation::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const auto& [id, entry] : entries_) entry->is_unwanted = true;
    }
    ready_.notify_all();
    empty_.notify_all();
}

bool Preparation::submit(RequestId id, GenerationRequest request, std::uint32_t max_queue) {
    auto entry = std::make_shared<Entry>();
    entry->n_answers = request.n;
    entry->is_long = is_long(request);
    {
        const std::lock_guard lock(mutex_);
        if (n_answers_ + mailbox_.crowd() >= static_cast<int>(max_queue)) return false;
        n_answers_ += entry->n_answers;
        n_short_ += entry->is_long ? 0 : 1;
        auto& queue = (entry->is_long ? long_ : short_).queue;
        entries_.emplace(id, std::move(entry));
        queue.push_back({.id = id, .request = std::move(request), .submitted = Clock::now()});
    }
    ready_.notify_all();
    return true;
}

bool Preparation::cancel(RequestId answer) {
    const std::lock_guard lock(mutex_);
    const auto found = request_of(entries_, answer, [](const auto& entry) { return entry->n_answers; });
    if (found == entries_.end()) return false;
    Entry& entry = *found->second;
    entry.cancelled.insert(answer);
    if (std::cmp_equal(entry.cancelled.size(), entry.n_answers)) entry.is_unwanted = true;
    return true;
}

void Preparation::wait_until_empty() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [&] { return stopping_ || entries_.empty(); });
}

void Preparation::loop(bool takes_long) {
    std::unique_lock lock(mutex_);
    while (true) {
        ready_.wait(lock, [&] { return stopping_ || !short_.queue.empty() || (takes_long && !long_.queue.empty()); });
        if (stopping_) return;
        std::deque<Prepared>& queue = takes_long && !long_.queue.empty() ? long_.queue : short_.queue;
        Prepared prepared = std::move(queue.front());
        queue.pop_front();
        const std::shared_ptr<Entry> entry = entries_.at(prepared.id);
        lock.unlock();
        const Result<void> done = prepare_one(prepared, *entry, takes_long ? long_.progress : short_.progress);
        lock.lock();
        prepared.cancelled = entry->cancelled;
        const std::vector<RequestId> wanted = prepared.wanted();
        if (!done && !wanted.empty()) {
            lock.unlock();
            StepReport report;
            report.fail(wanted, done.error());
            report_(std::move(report));  // before nothing is open any more
            lock.lock();
        }
        const RequestId id = prepared.id;
        if (done && !wanted.empty()) mailbox_.post(std::move(prepared));
        forget(id);
    }
}

/// What one request is too much for must not cost the others.
Result<void> Preparation::prepare_one(Prepared& prepared, const Entry& entry, Progress& progress) const {
    Result<void> done = fail(ErrorCode::kCancelled, "the request was cancelled");
    if (!entry.is_unwanted) {
        const Progress::Turn turn(progress);
        const auto is_cancelled = [&] {
            return entry.is_unwanted.load(std::memory_order_relaxed) || timeout_.is_over(prepared.submitted);
        };
        try {
            done = prepare(prepared, model_, keeper_, is_cancelled);
        } catch (const std::exception& e) {
            done = fail(ErrorCode::kInternal, fmt::format("the request could not be prepared: {}", e.what()));
        }
    }
    if (!done && done.error().code == ErrorCode::kCancelled && timeout_.is_over(prepared.submitted)) {
        return std::unexpected(timeout_.error());
    }
    return done;
}

/// Under the lock.
void Preparation::forget(RequestId id) {
    const auto found = entries_.find(id);
    n_answers_ -= found->second->n_answers;
    n_short_ -= found->second->is_long ? 0 : 1;
    entries_.erase(found);
    if (entries_.empty()) empty_.notify_all();
}

}  // namespace sutazai::engine
