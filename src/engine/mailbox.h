#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/artifact_keeper.h"
#include "engine/prepared.h"

namespace sutazai::engine {

class Generation;

/// Artifacts that a request waited for.
struct FetchedBlocks {
    RequestId request = 0;
    std::vector<ArtifactKeeper::Fetched> blocks;
    int n_tokens = 0;  ///< that were asked for
    std::chrono::microseconds took{0};
};

/// A token whose grammar took long.
struct DrawnToken {
    std::shared_ptr<Generation> generation;
    Token token = 0;
};

/// Everything between the decode thread and the others: what they have for it, and how it stands as of its last look.
class Mailbox {
  public:
    struct Mail {
        std::vector<Prepared> prepared;
        std::vector<RequestId> cancelled;
        std::vector<FetchedBlocks> fetched;
        std::vector<DrawnToken> drawn;
        std::vector<std::function<void()>> tasks;

        [[nodiscard]] bool empty() const {
            return prepared.empty() && cancelled.empty() && fetched.empty() && drawn.empty() && tasks.empty();
        }
    };
    /// How the decode thread stands.
    struct Standing {
        bool is_open = false;  ///< it has requests that have not ended
        bool fetches = false;  ///< some of them wait for artifacts
        int waiting = 0;
        int running = 0;
        int batch_width = 0;    ///< sequences decoded together, as the controller has it
        double ends_per_s = 0;  ///< smoothed rate at which requests end
    };

    // Any thread; none of these waits for the decode thread, but for run().

    void post(Prepared prepared);
    void post(FetchedBlocks blocks);
    void post(DrawnToken drawn);
    void cancel(RequestId id);
    /// Runs the task on the decode thread and waits for its end. False when the engine is being stopped and the task
    /// was not run. One call at a time.
    [[nodiscard]] bool run(const std::function<void()>& task);
    void stop();

    [[nodiscard]] Standing standing() const;
    /// Answers that wait, those in the mail included, beyond the places that are free.
    [[nodiscard]] int crowd() const;
    /// Those in the mail. Takes no lock.
    [[nodiscard]] int arrived() const { return n_arrived_.load(std::memory_order_relaxed); }
    /// Returns when nothing is open and no request is in the mail, or after stop().
    void wait_until_idle();

    // Decode thread.

    /// Tells how it stands, and takes the mail, for which it waits up to `patience`. None after stop().
    static constexpr std::chrono::microseconds kForEver = std::chrono::microseconds::max();
    [[nodiscard]] std::optional<Mail> receive(const Standing& standing, std::chrono::microseconds patience);

  private:
    mutable std::mutex mutex_;
    std::condition_variable ready_, idle_;
    Mail mail_;
    Standing standing_;
    std::atomic<int> n_arrived_{0};  ///< answers that the prepared requests in the mail will be; under the mutex
    bool stopping_ = false;
};

}  // namespace sutazai::engine
