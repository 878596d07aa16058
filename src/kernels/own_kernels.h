#pragma once

#include <atomic>
#include <cstdint>

/// What is done here in place of ggml: for each kind of work a switch and a count. Process-wide, any thread.
namespace sutazai::kernels {

/// Each on a cache line of its own: threads that ask whether to work do not wait for the one that counts.
struct OwnWork {
    /// For tests and comparisons: false leaves the work to ggml. Not to be changed while a graph is computed.
    alignas(64) std::atomic<bool> on{true};
    /// How often it was done, so that a test can tell that it was.
    alignas(64) std::atomic<std::uint64_t> done{0};

    [[nodiscard]] bool is_on() const { return on.load(std::memory_order_relaxed); }
    void count() { done.fetch_add(1, std::memory_order_relaxed); }
};

struct OwnKernels {
    OwnWork attention;  ///< attention.h
    OwnWork products;   ///< matmul.h
    OwnWork meetings;   ///< of all threads of a team at team_barrier.h
    OwnWork clears;     ///< stand_ins.h, as the next two
    OwnWork repacks;
    OwnWork copies;
};

[[nodiscard]] OwnKernels& own_kernels();

}  // namespace sutazai::kernels
