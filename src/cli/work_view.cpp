#include "cli/work_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <thread>

#include "base/byte_text.h"

namespace sutazai::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kRateOver = 5s;
constexpr auto kRedraw = 100ms;
constexpr auto kPlainEvery = 5s;
constexpr std::size_t kUsualWidth = 80;
constexpr std::size_t kMostBar = 40;
constexpr std::size_t kLeastBar = 5;

std::size_t width_of(std::FILE* stream) {
    winsize size{};
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

/// Is it about the same thing, a little further on?
bool goes_on(const WorkProgress& before, const WorkProgress& now) {
    return before.status == now.status && before.digest == now.digest;
}

}  // namespace

void Rate::add(std::uint64_t completed, Clock::time_point now) {
    if (!seen_.empty() && completed < seen_.back().second) seen_.clear();  // it begins again
    seen_.emplace_back(now, completed);
    while (seen_.size() > 2 && now - seen_[1].first > kRateOver) seen_.pop_front();
}

double Rate::per_second() const {
    if (seen_.size() < 2) return 0;
    const double seconds = std::chrono::duration<double>(seen_.back().first - seen_.front().first).count();
    return seconds < 0.2 ? 0 : static_cast<double>(seen_.back().second - seen_.front().second) / seconds;
}

std::string time_left_text(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::clamp(std::ceil(seconds), 0.0, 359'999.0));
    if (whole < 60) return fmt::format("{}s", whole);
    if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::string work_text(const WorkProgress& progress, double bytes_per_second, std::size_t width) {
    if (progress.total == 0) return progress.status.substr(0, width);
    const std::uint64_t completed = std::min(progress.completed, progress.total);
    const double share = static_cast<double>(completed) / static_cast<double>(progress.total);
    const std::string before = fmt::format("{}  {:3.0f}%", progress.status, std::floor(share * 100));
    std::string after = fmt::format("{} of {}", byte_text(completed), byte_text(progress.total));
    if (bytes_per_second > 0 && completed < progress.total) {
        after += fmt::format("  {}/s  {}", byte_text(static_cast<std::uint64_t>(bytes_per_second)),
                             time_left_text(static_cast<double>(progress.total - completed) / bytes_per_second));
    }
    const std::size_t taken = before.size() + after.size() + 6;
    if (taken + kLeastBar > width) return fmt::format("{}  {}", before, after).substr(0, width);
    const std::size_t bar = std::min(kMostBar, width - taken);
    const auto filled = static_cast<std::size_t>(std::floor(share * static_cast<double>(bar)));
    return fmt::format("{}  [{:#<{}}{:<{}}] {}", before, "", filled, "", bar - filled, after);
}

WorkView::WorkView(std::FILE* stream) : stream_(stream), is_terminal_(isatty(fileno(stream)) == 1) {}

void WorkView::show(const WorkProgress& progress) {
    const auto now = Rate::Clock::now();
    const bool is_new = !goes_on(last_, progress);
    if (is_new) {
        end_line();
        rate_.reset();
    }
    if (progress.total > 0) rate_.add(progress.completed, now);
    const bool is_whole = progress.total > 0 && progress.completed >= progress.total;
    const bool was_whole = !is_new && last_.total > 0 && last_.completed >= last_.total;
    last_ = progress;
    const auto wait = is_terminal_ ? std::chrono::milliseconds(kRedraw) : std::chrono::milliseconds(kPlainEvery);
    if (!is_new && !(is_whole && !was_whole) && now - drawn_at_ < wait) return;
    drawn_at_ = now;
    // Where lines stay, that a file begins is worth none.
    if (is_terminal_ || progress.total == 0 || is_whole || !is_new) draw(progress);
}

void WorkView::draw(const WorkProgress& progress) {
    if (is_terminal_) {
        // The last column stays free: some terminals begin a new line there.
        fmt::print(stream_, "\r{}\x1b[K", work_text(progress, rate_.per_second(), width_of(stream_) - 1));
        open_ = true;
    } else {
        fmt::print(stream_, "{}\n", work_text(progress, rate_.per_second(), kUsualWidth));
    }
    std::fflush(stream_);
}

void WorkView::end_line() {
    if (!std::exchange(open_, false)) return;
    fmt::print(stream_, "\n");
    std::fflush(stream_);
}

int run_stoppable(const std::function<Result<void>(const std::stop_token&)>& work, const std::string& when_stopped) {
    sigset_t signals{};
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    // Before any thread is started, so that only this one gets them.
    sigset_t before{};
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    std::stop_source source;
    std::atomic<int> signal = 0;
    Result<void> done;
    {
        std::jthread watch([&](const std::stop_token& stop) {
            for (;;) {
                int got = 0;
                if (sigwait(&signals, &got) != 0 || stop.stop_requested()) return;
                if (signal.exchange(got) != 0) std::_Exit(128 + got);
                source.request_stop();
            }
        });
        done = work(source.get_token());
        watch.request_stop();
        // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread): it is blocked, and what sigwait() waits for
        pthread_kill(watch.native_handle(), SIGTERM);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (done) return 0;
    if (signal != 0 && done.error().code == ErrorCode::kCancelled) {
        fmt::print(stderr, "{}\n", when_stopped);
        return 128 + signal;
    }
    fmt::print(stderr, "sutazai: {}\n", done.error().message);
    return 1;
}

}  // namespace sutazai::cli
