#pragma once

#include <cstddef>
#include <cstdint>

/// Stand-ins for functions of llama.cpp and ggml: three that cost a cold start most of its time, and one that cost a
/// step with many rows of logits a quarter of it. The linker puts them in their place (--wrap); what they leave behind
/// is the same to the byte.
///  - ggml_backend_tensor_get_async() from plain memory, by which logits come out of a step: copied by several threads.
///  - ggml_backend_buffer_clear() on plain memory: zeroes that the kernel gives when a page is first touched, instead
///  of
///    writing them, so that a large context costs neither time nor memory before it is used.
///  - ggml_backend_tensor_set() into repacked weights: the rows of a tensor are dealt out to several threads.
///  - gguf_kv_to_str() of arrays: how many values there are, instead of the text of a whole vocabulary for a log line.
namespace sutazai::kernels {

/// How many threads repack weights and copy logits from now on; process-wide. 1, as it is at first, leaves ggml's own
/// way.
void set_repack_threads(int n_threads);

/// Bytes that have been cleared without being touched since the start. The process grows by them as they are used.
[[nodiscard]] std::uint64_t bytes_cleared_untouched();

}  // namespace sutazai::kernels
