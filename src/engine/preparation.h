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

#include "engine/guarded_thread.h"
#include "engine/mailbox.h"
#include "engine/prepared.h"
#include "engine/progress.h"
#include "engine/step_report.h"

namespace sutazai::engine {

/// Prepares requests for the decode thread. Two lanes, each a thread: one takes only short requests, so that they do
/// not wait for long ones. What is prepared goes to the mailbox, what cannot be is reported. Any thread.
class Preparation {
  public:
    /// `keeper` may be null. All outlive this; `report` is called on both threads.
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

  private:
    struct Lane {
        std::deque<Prepared> queue;
        Progress progress;
    };
    /// A request from submit() until it is in the mailbox.
    struct Entry {
        int n_answers = 1;
        bool is_long = false;
        std::set<RequestId> cancelled;
        std::atomic<bool> is_unwanted{false};  ///< all of it is cancelled, or the engine stops
    };

    void loop(bool takes_long);
    [[nodiscard]] Result<void> prepare_one(Prepared& prepared, const Entry& entry, Progress& progress) const;
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
    std::map<RequestId, std::shared_ptr<Entry>> entries_;
    int n_answers_ = 0;  ///< of all entries
    std::atomic<int> n_short_{0};
    bool stopping_ = false;

    std::jthread short_thread_, thread_;
};

}  // namespace sutazai::engine
