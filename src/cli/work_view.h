#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/work_progress.h"

/// Work that takes long, at a terminal.
namespace sutazai::cli {

/// How quickly bytes come, over the last seconds.
class Rate {
  public:
    using Clock = std::chrono::steady_clock;
    void add(std::uint64_t completed, Clock::time_point now);
    void reset() { seen_.clear(); }
    /// Bytes a second; 0 while that is not known.
    [[nodiscard]] double per_second() const;

  private:
    std::deque<std::pair<Clock::time_point, std::uint64_t>> seen_;
};

/// "pulling 170370233dd5   45% [####      ] 450 MiB of 1 GiB  85 MiB/s  6s", at most `width` wide. Of work without
/// bytes its status alone. Pure.
[[nodiscard]] std::string work_text(const WorkProgress& progress, double bytes_per_second, std::size_t width);

/// "6s", "2m05s", "1h03m".
[[nodiscard]] std::string time_left_text(double seconds);

/// Shows what is told of a piece of work: on a terminal a bar for each file, redrawn in place; elsewhere a line for
/// each status, and one every five seconds. One thread at a time.
class WorkView {
  public:
    explicit WorkView(std::FILE* stream);
    ~WorkView() { end_line(); }
    WorkView(const WorkView&) = delete;
    WorkView& operator=(const WorkView&) = delete;

    void show(const WorkProgress& progress);
    /// Leaves what is drawn where it is; what is printed next begins a line.
    void end_line();

  private:
    void draw(const WorkProgress& progress);

    std::FILE* stream_;
    bool is_terminal_;
    bool open_ = false;  // a line that is redrawn
    WorkProgress last_;
    Rate rate_;
    Rate::Clock::time_point drawn_at_{};
};

/// Does `work` on this thread; SIGINT and SIGTERM stop it, a second one ends the process. Returns an exit code: 0, 1
/// with the error told on standard error, or 128 and the signal's number with `when_stopped` told.
[[nodiscard]] int run_stoppable(const std::function<Result<void>(const std::stop_token&)>& work,
                                const std::string& when_stopped);

}  // namespace sutazai::cli
