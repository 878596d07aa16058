#pragma once

#include <atomic>
#include <cstdint>

/// What is done here in place of ggml: for each kind of work a switch and a count. Process-wide, any thread.
namespace sutazai::kernels {

struct OwnWork {
    /// For tests and comparisons: false leaves the work to ggml. Not to be changed while a graph is computed.
    std::atomic<bool> on{true};
    /// How often it was done, so that a test can tell that it was.
    std::atomic<std::uint64_t> done{0};

    [[nodiscard]] bool is_on() const { return on.load(std::memory_order_relaxed); }
    void count() { done.fetch_add(1, std::memory_order_relaxed); }
};

struct OwnKernels {
    OwnWork attention;  ///< attention.h; the environment variable SUTAZAI_GGML_ATTENTION switches it off
    OwnWork products;   ///< matmul.h; SUTAZAI_GGML_MATMUL switches it off
    OwnWork meetings;   ///< of all threads of a team at team_barrier.h; the switch counts when the CPU backend is made
    OwnWork clears;     ///< stand_ins.h, as the next two
    OwnWork repacks;
    OwnWork copies;
};

[[nodiscard]] OwnKernels& own_kernels();

}  // namespace sutazai::kernels
