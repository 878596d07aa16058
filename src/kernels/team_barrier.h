#pragma once

#include <atomic>
#include <cstdint>

/// The barrier at which ggml's threads meet after each operation, some hundred times in a step.
///
/// libgomp's spins for milliseconds before it sleeps, which is right only while every thread of the team has a
/// processor: when another process takes one away, the rest burns its time waiting, and two engines that decode at once
/// each run at a tenth of their rate. Its spinning can be shortened (GOMP_SPINCOUNT), but then threads that wait a few
/// microseconds for each other go to sleep as well. This barrier spins about as long as the parts of an operation can
/// differ, and then sleeps.
///
/// Every level's ggml is given it (level_parts.cpp, patches/llama.cpp/0002-own-barrier.patch).
/// docs/decisions/0011-sharing-processors.md has the measurements.
namespace sutazai::kernels {

class TeamBarrier {
  public:
    /// Returns when `n_threads` threads have called it. Always the same number for one object, which they all share.
    void wait(std::uint32_t n_threads);

  private:
    alignas(64) std::atomic<std::uint32_t> arrived_{0};
    alignas(64) std::atomic<std::uint32_t> phase_{0};  ///< counts the meetings; a futex
    std::atomic<std::uint32_t> asleep_{0};
};

/// As ggml calls it: `state` is a TeamBarrier that begins as zeroes.
void meet(void* state, int n_threads);

}  // namespace sutazai::kernels
