#include "kernels/stand_ins.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <gguf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
void __real_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, std::uint8_t value);
void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, std::uint8_t value);
void __real_ggml_backend_tensor_set(ggml_tensor* tensor, const void* data, std::size_t offset, std::size_t size);
void __wrap_ggml_backend_tensor_set(ggml_tensor* tensor, const void* data, std::size_t offset, std::size_t size);
void __real_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data,
                                          std::size_t offset, std::size_t size);
void __wrap_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data,
                                          std::size_t offset, std::size_t size);
// NOLINTEND(bugprone-reserved-identifier)
}
// A C++ function of llama.cpp's own, hence the mangled name.
std::string real_kv_to_str(const gguf_context* context,
                           int key) __asm__("__real__Z14gguf_kv_to_strB5cxx11PK12gguf_contexti");
std::string wrap_kv_to_str(const gguf_context* context,
                           int key) __asm__("__wrap__Z14gguf_kv_to_strB5cxx11PK12gguf_contexti");

namespace sutazai::kernels {
namespace {

/// Less is cleared by writing: the kernel's way costs a call and, later, a fault a page.
constexpr std::size_t kLeastCleared = std::size_t{1} << 20;
/// A thread's share of a tensor at a time.
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
/// Rows that are interleaved with one another never lie in two pieces: at most 16 are.
constexpr std::int64_t kRowStep = 64;

std::atomic<int> g_repack_threads{1};
std::atomic<std::uint64_t> g_cleared_untouched{0};

/// False when the buffer is none of anonymous memory, or the kernel refuses: nothing has been done then.
bool clear_by_kernel(ggml_backend_buffer_t buffer) {
    const std::size_t size = ggml_backend_buffer_get_size(buffer);
    if (size < kLeastCleared || ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type()) return false;
    auto* base = static_cast<std::uint8_t*>(ggml_backend_buffer_get_base(buffer));
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(base) % page) % page;
    const std::size_t whole = (size - before) / page * page;
    // Private anonymous pages that are given back read as zeroes. Locked ones cannot be given back.
    if (::madvise(base + before, whole, MADV_DONTNEED) != 0) return false;
    std::memset(base, 0, before);
    std::memset(base + before + whole, 0, size - before - whole);
    g_cleared_untouched += whole;
    return true;
}

bool is_repacked(const ggml_tensor* tensor) {
    if (tensor->buffer == nullptr || tensor->view_src != nullptr) return false;
    return std::string_view(ggml_backend_buft_name(ggml_backend_buffer_get_type(tensor->buffer))) == "CPU_REPACK";
}

/// Repacking works on groups of rows, each by itself and in its place: pieces of whole groups make up the whole.
void set_in_pieces(const ggml_tensor& tensor, const std::uint8_t* data, std::size_t size, int n_threads) {
    const std::int64_t n_rows = ggml_nrows(&tensor);
    const std::size_t row_bytes = size / static_cast<std::size_t>(n_rows);
    const std::int64_t rows =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(kPieceBytes / row_bytes) / kRowStep) * kRowStep;
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
        for (std::int64_t first = next.fetch_add(rows); first < n_rows; first = next.fetch_add(rows)) {
            ggml_tensor piece = tensor;
            piece.ne[1] = std::min(rows, n_rows - first);
            piece.ne[2] = piece.ne[3] = 1;
            const std::size_t offset = static_cast<std::size_t>(first) * row_bytes;
            piece.data = static_cast<std::uint8_t*>(tensor.data) + offset;
            __real_ggml_backend_tensor_set(&piece, data + offset, 0, ggml_nbytes(&piece));
        }
    };
    std::vector<std::jthread> helpers;
    for (int i = 1; i < n_threads; ++i) helpers.emplace_back(work);
    work();
}

}  // namespace

void set_repack_threads(int n_threads) {
    g_repack_threads = std::max(1, n_threads);
}

std::uint64_t bytes_cleared_untouched() {
    return g_cleared_untouched;
}

}  // namespace sutazai::kernels

void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, std::uint8_t value) {
    if (value == 0 && sutazai::kernels::clear_by_kernel(buffer)) return;
    __real_ggml_backend_buffer_clear(buffer, value);
}

void __wrap_ggml_backend_tensor_set(ggml_tensor* tensor, const void* data, std::size_t offset, std::size_t size) {
    using namespace sutazai::kernels;  // NOLINT(google-build-using-namespace)
    const int n_threads = g_repack_threads.load(std::memory_order_relaxed);
    // In this order: inputs of every step come this way.
    if (n_threads < 2 || size < 2 * kPieceBytes || offset != 0 || size != ggml_nbytes(tensor) ||
        !ggml_is_contiguous(tensor) || !is_repacked(tensor)) {
        __real_ggml_backend_tensor_set(tensor, data, offset, size);
        return;
    }
    set_in_pieces(*tensor, static_cast<const std::uint8_t*>(data), size, n_threads);
}

void __wrap_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data,
                                          std::size_t offset, std::size_t size) {
    using namespace sutazai::kernels;  // NOLINT(google-build-using-namespace)
    const int n_threads = g_repack_threads.load(std::memory_order_relaxed);
    // Plain memory: what the CPU backend has computed stands there when its graph has been computed.
    const ggml_backend_buffer_t buffer = tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
    if (n_threads < 2 || size < 4 * kPieceBytes || !ggml_backend_is_cpu(backend) || buffer == nullptr ||
        ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type()) {
        __real_ggml_backend_tensor_get_async(backend, tensor, data, offset, size);
        return;
    }
    const auto* from = static_cast<const std::uint8_t*>(tensor->data) + offset;
    auto* to = static_cast<std::uint8_t*>(data);
    const auto n_pieces = static_cast<std::int64_t>((size + kPieceBytes - 1) / kPieceBytes);
    // On llama.cpp's own OpenMP team, which is still awake.
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (std::int64_t piece = 0; piece < n_pieces; ++piece) {
        const std::size_t begin = static_cast<std::size_t>(piece) * kPieceBytes;
        std::memcpy(to + begin, from + begin, std::min(kPieceBytes, size - begin));
    }
}

std::string wrap_kv_to_str(const gguf_context* context, int key) {
    if (gguf_get_kv_type(context, key) != GGUF_TYPE_ARRAY) return real_kv_to_str(context, key);
    return fmt::format("[{} values]", gguf_get_arr_n(context, key));
}
