#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "batches/records.h"

namespace sutazai::batches {

/// A line that is to be run, and what has become of it so far.
struct Task {
    std::int64_t batch = 0;
    LineRecord line;
    int n_tries = 0;   ///< that failed and might not have
    int n_deaths = 0;  ///< of the engine that had it
    bool alone = false;
};

/// Which line runs next. One model at a time, so that batches of several models do not push one another out of memory,
/// and those in turn; of a model the batches in turn, each in the order that its lines came in, past
/// those whose model has to be waited for. Pure; one thread.
///
/// A line that failed for a reason of its own is done. What may pass is tried again a bounded number of times, and a
/// server that has too much to do is waited for. Of the lines that an engine took with it one may be to blame: each is
/// tried again with no other beside it.
class Desk {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr int kMostTries = 5;
    static constexpr int kMostDeaths = 3;
    /// A model has its turn for so long when others wait.
    static constexpr std::chrono::seconds kTurn{20};
    /// Lines that are read ahead of each batch.
    static constexpr std::size_t kAhead = 64;
    /// And at most so many, while those that were read wait for their model.
    static constexpr std::size_t kMostAhead = 4096;

    void add_batch(std::int64_t batch);
    /// Its waiting lines go; tasks of it that run are still to be given back.
    void remove_batch(std::int64_t batch);

    /// A batch whose lines should be read on, behind `after`; null: from the first one. Not asked for again before
    /// add_lines().
    struct Wanted {
        std::int64_t batch;
        std::optional<LineRecord> after;
    };
    [[nodiscard]] std::optional<Wanted> wants_lines(Time now);
    /// In the order of Store::open_lines(). `last`: there are no more.
    void add_lines(std::int64_t batch, std::vector<LineRecord> lines, bool last);
    /// They could not be read: they will be asked for again.
    void no_lines(std::int64_t batch);

    /// At most `width` run at once of a model. The task is the caller's until ended() or put_back().
    [[nodiscard]] std::optional<Task> next(Time now, std::size_t width);
    /// It was answered, or failed with `error`. True: that is its result. False: it will run again.
    [[nodiscard]] bool ended(Task task, const std::optional<Error>& error, Time now);
    /// It was stopped for no fault of its own.
    void put_back(Task task);

    [[nodiscard]] std::size_t running() const { return n_running_; }
    /// Every line has been given out and has come to an end.
    [[nodiscard]] bool is_done(std::int64_t batch) const;
    /// When next() may have something that it has not now, if nothing happens before.
    [[nodiscard]] std::optional<Time> next_time(Time now) const;

    /// Aborts when the books are wrong. For tests.
    void check() const;

  private:
    struct Batch {
        std::deque<Task> waiting;
        std::deque<Task> suspects;
        std::optional<LineRecord> last_read;
        std::size_t n_running = 0;
        bool all_read = false;
        bool reading = false;
        std::uint64_t turn = 0;  // when it last gave out a line
    };
    struct Model {
        std::size_t n_running = 0;
        bool one_alone = false;  // a suspect runs
        bool broken = false;     // it could not be loaded, again and again
        Time paused_until{};
    };

    [[nodiscard]] const std::string* model_of(const Batch& batch, Time now) const;
    [[nodiscard]] Batch* next_batch(const std::string& model);
    [[nodiscard]] bool can_run(const std::string& model, Time now) const;
    bool choose_model(Time now);
    [[nodiscard]] Task take(std::int64_t number, Batch& batch, std::deque<Task>& from,
                            const std::deque<Task>::iterator& at);
    void let_go(const Task& task);
    void pause(const Task& task, const Error& error, Time now);

    std::map<std::int64_t, Batch> batches_;
    std::map<std::string, Model> models_;
    std::optional<std::string> model_;  // whose turn it is
    Time turn_began_{};
    std::uint64_t turns_ = 0;
    std::size_t n_running_ = 0;
};

}  // namespace sutazai::batches
