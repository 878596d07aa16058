#pragma once

#include <ggml-backend.h>

#include <cstdint>

/// Stand-ins for functions of ggml: two that cost a cold start much of its time, and one that cost a step with many
/// rows of logits a quarter of it. ggml calls them through tables of functions that belong to buffers and backends;
/// they are put into those tables. What they leave behind is the same to the byte.
///  - clear() of plain memory: zeroes that the kernel gives when a page is first touched, instead of writing them, so
///    that a large context costs neither time nor memory before it is used.
///  - set_tensor() into repacked weights: the rows of a tensor are dealt out to several threads.
///  - get_tensor_async() from plain memory, by which logits come out of a step: copied by several threads.
namespace sutazai::kernels {

/// Puts them into the tables of a CPU backend, and of the memory that all backends share. Once for each backend, before
/// anything is allocated or computed by it. Throws std::runtime_error when ggml's tables are not what they were.
void install_stand_ins(ggml_backend_reg_t cpu);

/// How many threads repack weights and copy logits from now on; process-wide. 1, as it is at first, leaves ggml's own
/// way.
void set_repack_threads(int n_threads);

/// Bytes that have been cleared without being touched since the start. The process grows by them as they are used.
[[nodiscard]] std::uint64_t bytes_cleared_untouched();

}  // namespace sutazai::kernels
