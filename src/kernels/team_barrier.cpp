#include "kernels/team_barrier.h"

#include <ggml-cpu.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>

#include "kernels/own_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sutazai::kernels {
namespace {

/// Longer than threads that all run wait for each other, shorter than a process waits for its processor.
constexpr std::chrono::microseconds kSpin{100};
/// Looks between two readings of the clock.
constexpr int kLooks = 32;

/// Whether spinning pays for this thread. Where it did not, because the processors are shared with others, the thread
/// goes to sleep at once at the next meeting, and at twice as many each time that trying again fails. A failure now and
/// then is an interrupt and costs one such meeting.
class Patience {
  public:
    [[nodiscard]] bool spins() {
        if (meetings_left_ == 0) return true;
        --meetings_left_;
        return false;
    }
    void paid() {
        if (++in_a_row_ >= kTrusted) pause_ = kShortest;
    }
    void did_not_pay() {
        in_a_row_ = 0;
        meetings_left_ = pause_;
        pause_ = std::min(pause_ * 2, kLongest);
    }

  private:
    static constexpr int kShortest = 1;
    static constexpr int kLongest = 512;
    static constexpr int kTrusted = 16;
    int meetings_left_ = 0;
    int pause_ = kShortest;
    int in_a_row_ = 0;
};

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation | FUTEX_PRIVATE_FLAG, value, nullptr);
}

thread_local Patience t_patience;

/// True as soon as `word` is no longer `value`; false when that takes longer than kSpin.
bool spin(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
        for (int look = 0; look < kLooks; ++look) {
            if (word.load(std::memory_order_acquire) != value) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

static_assert(sizeof(TeamBarrier) <= GGML_CPU_BARRIER_STATE_SIZE);

}  // namespace

void TeamBarrier::wait(std::uint32_t n_threads) {
    const std::uint32_t phase = phase_.load();
    if (arrived_.fetch_add(1) + 1 == n_threads) {
        own_kernels().meetings.count();
        arrived_.store(0);
        phase_.store(phase + 1);
        if (asleep_.load() > 0) futex(phase_, FUTEX_WAKE, INT_MAX);
        return;
    }
    if (t_patience.spins()) {
        if (spin(phase_, phase)) {
            t_patience.paid();
            return;
        }
        t_patience.did_not_pay();
    }
    // Either the last thread sees that this one sleeps, or this one sees the new phase: both orders are sequentially
    // consistent.
    asleep_.fetch_add(1);
    while (phase_.load() == phase) futex(phase_, FUTEX_WAIT, phase);
    asleep_.fetch_sub(1);
}

void meet(void* state, int n_threads) {
    static_cast<TeamBarrier*>(state)->wait(static_cast<std::uint32_t>(n_threads));
}

}  // namespace sutazai::kernels
