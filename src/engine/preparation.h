#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "engine/grammars.h"
#include "engine/guarded_thread.h"
#include "engine/mailbox.h"
#include "engine/prepared.h"
#include "engine/progress.h"
#include "engine/step_report.h"

namespace sutazai::engine {

/// Prepares requests for the decode thread. Two lanes, each a thread: one takes only short requests, so that they do
/// not wait for long ones. Either makes a request's grammar as well, if that takes a few milliseconds; what takes
/// longer is made by a third thread, one after the other, and holds up nobody but the requests that want the same. What
/// is prepared goes to the mailbox, what cannot be is reported. Any thread.
class Preparation {
  public:
    /// `keeper` may be null. All outlive this; `report` is called on all threads.
    Preparation(const Model& model, ArtifactKeeper* keeper, QueueTimeout timeout, Mailbox& mailbox,
                std::function<void(StepReport)> report, const OnDeath& on_death);
    ~Preparation();  ///< stop(), and waits for the threads
    Preparation(const Preparation&) = delete;
    Preparation& operator=(const Preparation&) = delete;

    /// False when so many answers wait already that `max_queue` is reached: the request is not taken. One for many
    /// answers is taken whole where one of its answers has a place.
    [[nodiscard]] bool submit(RequestId id, GenerationRequest request, std::uint32_t max_queue);
    /// False when it is not here: then it is in the mailbox by now, or further, or unknown.
    bool cancel(RequestId answer);
    void stop();
    /// Returns when nothing is being prepared, or after stop().
    void wait_until_empty();

    /// Requests that will be prepared within milliseconds. Takes no lock.
    [[nodiscard]] int n_short() const { return n_short_.load(std::memory_order_relaxed); }
    [[nodiscard]] const Progress& progress() const { return long_.progress; }
    [[nodiscard]] const Progress& short_progress() const { return short_.progress; }
    [[nodiscard]] const Progress& grammar_progress() const { return grammar_progress_; }
    [[nodiscard]] const Grammars& grammars() const { return grammars_; }  ///< for its counts

  private:
    struct Lane {
        std::deque<Prepared> queue;
        Progress progress;
    };
    /// A request from submit() until it is in the mailbox.
    struct Entry {
        int n_answers = 1;
        bool is_long = false;  ///< it takes more than a few milliseconds
        std::set<RequestId> cancelled;
        std::atomic<bool> is_unwanted{false};  ///< all of it is cancelled, or the engine stops
    };

    using Lock = std::unique_lock<std::mutex>;

    void loop(bool takes_long);
    [[nodiscard]] Result<void> prepare_one(Prepared& prepared, const Entry& entry, Progress& progress) const;
    void compile_loop();
    // Under the lock, which they let go of while they work.
    void take_grammar(Lock& lock, Prepared prepared, Progress& progress);
    [[nodiscard]] bool compile(Lock& lock, Compilation& compilation, std::int64_t most_work, Progress& progress);
    void finish(Lock& lock, Prepared prepared, Result<void> done);
    void finish_with(Lock& lock, Prepared prepared, const MadeGrammar& made);
    // Under the lock.
    void mark_long(Entry& entry);
    void forget(RequestId id);

    const Model& model_;
    ArtifactKeeper* keeper_;
    QueueTimeout timeout_;
    Mailbox& mailbox_;
    std::function<void(StepReport)> report_;

    /// Held while a request passes to the mailbox, so that a cancel finds it in one of the two.
    std::mutex mutex_;
    std::condition_variable ready_, empty_;
    Lane short_, long_;
    Grammars grammars_;
    Progress grammar_progress_;
    std::map<RequestId, std::shared_ptr<Entry>> entries_;
    int n_answers_ = 0;  ///< of all entries
    std::atomic<int> n_short_{0};
    bool stopping_ = false;

    std::jthread short_thread_, thread_, grammar_thread_;
};

}  // namespace sutazai::engine
