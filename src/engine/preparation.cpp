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
/// On a grammar by a thread that others wait for: a few milliseconds. Whether it is enough is known only by trying.
constexpr std::int64_t kWorkOnTheWay = 200'000;
/// On a grammar at all: about a second. Less than that is enough for nearly all that the limits of grammars allow.
constexpr std::int64_t kMostWork = 40'000'000;

std::size_t bytes_of(const Infill& infill) {
    std::size_t n = infill.prefix.size() + infill.suffix.size() + infill.begun.size();
    for (const Infill::File& file : infill.files) n += file.text.size();
    return n;
}

bool is_long(const GenerationRequest& request) {
    std::size_t n_bytes = request.grammar.size() + request.json_schema.size() + request.chat_template.size();
    if (const auto* text = std::get_if<std::string>(&request.prompt)) n_bytes += text->size();
    if (const auto* pair = std::get_if<RankedPair>(&request.prompt))
        n_bytes += pair->query.size() + pair->document.size();
    if (const auto* bare = std::get_if<BareText>(&request.prompt)) n_bytes += bare->text.size();
    if (const auto* ids = std::get_if<std::vector<Token>>(&request.prompt)) n_bytes += ids->size();
    if (const auto* infill = std::get_if<Infill>(&request.prompt)) n_bytes += bytes_of(*infill);
    if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
        for (const Tool& tool : chat->tools) n_bytes += tool.description.size() + tool.parameters.size();
        for (const ChatMessage& message : chat->messages) {
            n_bytes += message.reasoning.size();
            for (const ToolCall& call : message.tool_calls) n_bytes += call.arguments.size();
            for (const ContentPart& part : message.content) {
                if (part.image != nullptr) return true;
                n_bytes += part.text.size();
            }
        }
    }
    return n_bytes > kShortBytes;
}

bool has_grammar(const GenerationRequest& request) {
    return request.task == Task::kGenerate && !(request.grammar.empty() && request.json_schema.empty());
}

}  // namespace

Preparation::Preparation(const Model& model, ArtifactKeeper* keeper, QueueTimeout timeout, Mailbox& mailbox,
                         std::function<void(StepReport)> report, const OnDeath& on_death)
    : model_(model), keeper_(keeper), timeout_(timeout), mailbox_(mailbox), report_(std::move(report)) {
    short_thread_ =
        guarded_thread("the preparation thread of short requests", on_death, [this] { loop(/*takes_long=*/false); });
    thread_ = guarded_thread("the preparation thread", on_death, [this] { loop(/*takes_long=*/true); });
    grammar_thread_ = guarded_thread("the thread of grammars", on_death, [this] { compile_loop(); });
}

Preparation::~Preparation() {
    stop();
}

void Preparation::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const auto& [id, entry] : entries_) entry->is_unwanted = true;
        grammars_.stop();
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
    if (std::cmp_equal(entry.cancelled.size(), entry.n_answers)) {
        entry.is_unwanted = true;
        const RequestId id = found->first;
        if (grammars_.leave(id)) forget(id);
    }
    return true;
}

void Preparation::wait_until_empty() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [&] { return stopping_ || entries_.empty(); });
}

void Preparation::loop(bool takes_long) {
    Lock lock(mutex_);
    while (true) {
        ready_.wait(lock, [&] { return stopping_ || !short_.queue.empty() || (takes_long && !long_.queue.empty()); });
        if (stopping_) return;
        std::deque<Prepared>& queue = takes_long && !long_.queue.empty() ? long_.queue : short_.queue;
        Prepared prepared = std::move(queue.front());
        queue.pop_front();
        const std::shared_ptr<Entry> entry = entries_.at(prepared.id);
        lock.unlock();
        Progress& progress = takes_long ? long_.progress : short_.progress;
        Result<void> done = prepare_one(prepared, *entry, progress);
        lock.lock();
        if (done && has_grammar(prepared.request) && !entry->is_unwanted) {
            take_grammar(lock, std::move(prepared), progress);
        } else {
            finish(lock, std::move(prepared), std::move(done));
        }
    }
}

/// What one request is too much for must not cost the others.
Result<void> Preparation::prepare_one(Prepared& prepared, const Entry& entry, Progress& progress) const {
    Result<void> done = fail(ErrorCode::kCancelled, "the request was cancelled");
    if (!entry.is_unwanted) {
        const Progress::Turn turn(progress);
        const auto is_cancelled = [&] {
            progress.advance();
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

void Preparation::take_grammar(Lock& lock, Prepared prepared, Progress& progress) {
    if (const MadeGrammar* known = grammars_.find(prepared.request)) {
        finish_with(lock, std::move(prepared), MadeGrammar(*known));
        return;
    }
    Entry& entry = *entries_.at(prepared.id);
    const auto [compilation, is_first] = grammars_.join(std::move(prepared));
    if (compilation->is_long) mark_long(entry);
    if (!is_first || compile(lock, *compilation, kWorkOnTheWay, progress)) return;
    for (const Prepared& waiting : compilation->waiting) mark_long(*entries_.at(waiting.id));
    grammars_.postpone(compilation);
    ready_.notify_all();
}

void Preparation::compile_loop() {
    stand_back();
    Lock lock(mutex_);
    while (true) {
        ready_.wait(lock, [&] { return stopping_ || grammars_.has_postponed(); });
        if (stopping_) return;
        for (Prepared& late : grammars_.take_late(timeout_)) {
            finish(lock, std::move(late), std::unexpected(timeout_.error()));
        }
        if (!grammars_.has_postponed()) continue;
        const std::shared_ptr<Compilation> next = grammars_.take_postponed();
        (void)compile(lock, *next, kMostWork, grammar_progress_);
    }
}

/// False, and nothing is done, when `most_work` is less than kMostWork and not enough.
bool Preparation::compile(Lock& lock, Compilation& compilation, std::int64_t most_work, Progress& progress) {
    lock.unlock();
    const llama::GrammarSource& source = compilation.source;
    MadeGrammar made = fail(ErrorCode::kInternal, "the grammar could not be compiled");
    grammar::Work work{most_work, &compilation.is_unwanted};
    {
        const Progress::Turn turn(progress);
        try {
            made = llama::compile(model_, source, work);
        } catch (const std::exception& e) {
            made =
                fail(ErrorCode::kInternal, fmt::format("the {} could not be compiled: {}", source.field(), e.what()));
        }
    }
    lock.lock();
    if (!made && made.error().code == ErrorCode::kCancelled && !compilation.is_unwanted) {
        if (most_work < kMostWork) return false;
        made = fail(
            ErrorCode::kInvalidArgument,
            fmt::format("{} takes more than {} units of work to compile, about a second", source.field(), kMostWork),
            source.field());
    }
    for (Prepared& prepared : grammars_.end(compilation, made)) finish_with(lock, std::move(prepared), made);
    return true;
}

void Preparation::finish_with(Lock& lock, Prepared prepared, const MadeGrammar& made) {
    if (!made) return finish(lock, std::move(prepared), std::unexpected(made.error()));
    prepared.grammar = *made;
    finish(lock, std::move(prepared), Result<void>());
}

void Preparation::finish(Lock& lock, Prepared prepared, Result<void> done) {
    const RequestId id = prepared.id;
    prepared.cancelled = entries_.at(id)->cancelled;
    const std::vector<RequestId> wanted = prepared.wanted();
    if (!wanted.empty() && (!done || prepared.request.task == Task::kRead)) {
        lock.unlock();
        StepReport report;
        if (!done) report.fail(wanted, done.error());
        for (GenerationUpdate& update : prepared.reading) report.add(id, std::move(update));
        report_(std::move(report));  // before nothing is open any more
        lock.lock();
    } else if (!wanted.empty()) {
        mailbox_.post(std::move(prepared));
    }
    forget(id);
}

void Preparation::mark_long(Entry& entry) {
    n_short_ -= entry.is_long ? 0 : 1;
    entry.is_long = true;
}

void Preparation::forget(RequestId id) {
    const auto found = entries_.find(id);
    n_answers_ -= found->second->n_answers;
    n_short_ -= found->second->is_long ? 0 : 1;
    entries_.erase(found);
    if (entries_.empty()) empty_.notify_all();
}

}  // namespace sutazai::engine
