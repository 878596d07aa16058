#include "kernels/stand_ins.h"

#include <ggml-backend-impl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/own_kernels.h"
#include "kernels/weight_share.h"

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

/// ggml's own functions. The tables are the same for all buffers of a type; each level of processor has its own type
/// for repacked weights and its own device.
struct Plain {
    decltype(ggml_backend_buffer_type_i::alloc_buffer) allocate = nullptr;
    std::atomic<decltype(ggml_backend_buffer_i::clear)> clear = nullptr;
} g_plain;

struct Repacking {
    ggml_backend_buffer_type_t type = nullptr;
    decltype(ggml_backend_buffer_type_i::alloc_buffer) allocate = nullptr;
    decltype(ggml_backend_buffer_i::set_tensor) set = nullptr;
};

struct Device {
    ggml_backend_dev_t device = nullptr;
    decltype(ggml_backend_device_i::init_backend) init = nullptr;
};

/// Only added to.
std::mutex g_mutex;
std::vector<Repacking> g_repacking;
std::vector<Device> g_devices;

Repacking& repacking_of(ggml_backend_buffer_type_t type) {
    return *std::ranges::find(g_repacking, type, &Repacking::type);
}

// --- zeroes

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

void clear(ggml_backend_buffer_t buffer, std::uint8_t value) {
    if (value == 0 && own_kernels().clears.is_on() && clear_by_kernel(buffer)) {
        own_kernels().clears.count();
        return;
    }
    g_plain.clear.load(std::memory_order_relaxed)(buffer, value);
}

ggml_backend_buffer_t allocate_plain(ggml_backend_buffer_type_t type, std::size_t size) {
    ggml_backend_buffer_t buffer = g_plain.allocate(type, size);
    if (buffer != nullptr) {
        g_plain.clear = buffer->iface.clear;
        buffer->iface.clear = clear;
    }
    return buffer;
}

// --- repacking

/// Repacking works on groups of rows, each by itself and in its place: pieces of whole groups make up the whole.
void set_in_pieces(decltype(ggml_backend_buffer_i::set_tensor) set, ggml_backend_buffer_t buffer,
                   const ggml_tensor& tensor, const std::uint8_t* data, std::size_t size, int n_threads) {
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
            set(buffer, &piece, data + offset, 0, ggml_nbytes(&piece));
        }
    };
    std::vector<std::jthread> helpers;
    for (int i = 1; i < n_threads; ++i) helpers.emplace_back(work);
    work();
}

void set_repacked(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, std::size_t offset,
                  std::size_t size) {
    if (WeightShare* const share = WeightShare::in_use(); share != nullptr && share->has(buffer->context)) {
        if (share->take(*tensor)) return;
    }
    const auto set = [&] {
        const std::scoped_lock lock(g_mutex);
        return repacking_of(buffer->buft).set;
    }();
    const int n_threads = g_repack_threads.load(std::memory_order_relaxed);
    if (n_threads < 2 || size < 2 * kPieceBytes || offset != 0 || size != ggml_nbytes(tensor) ||
        tensor->view_src != nullptr || !ggml_is_contiguous(tensor) || !own_kernels().repacks.is_on()) {
        set(buffer, tensor, data, offset, size);
        return;
    }
    own_kernels().repacks.count();
    set_in_pieces(set, buffer, *tensor, static_cast<const std::uint8_t*>(data), size, n_threads);
}

void free_shared(ggml_backend_buffer_t buffer) {
    WeightShare::unmap(buffer->context, buffer->size);
}

/// Puts memory that others may share in the place of a buffer's own, which nobody has touched.
void move_to_shared(ggml_backend_buffer_t buffer) {
    WeightShare* const share = WeightShare::in_use();
    if (share == nullptr || buffer->size == 0) return;
    void* const base = share->map(buffer->size);
    if (base == nullptr) return;
    ggml_backend_buffer own = *buffer;
    own.iface.free_buffer(&own);
    buffer->context = base;
    buffer->iface.free_buffer = free_shared;
}

ggml_backend_buffer_t allocate_repacked(ggml_backend_buffer_type_t type, std::size_t size) {
    const std::scoped_lock lock(g_mutex);
    Repacking& ggml = repacking_of(type);
    ggml_backend_buffer_t buffer = ggml.allocate(type, size);
    if (buffer != nullptr) {
        ggml.set = buffer->iface.set_tensor;
        buffer->iface.set_tensor = set_repacked;
        move_to_shared(buffer);
    }
    return buffer;
}

// --- copies

void get_in_pieces(ggml_backend_t backend, const ggml_tensor* tensor, void* data, std::size_t offset,
                   std::size_t size) {
    const int n_threads = g_repack_threads.load(std::memory_order_relaxed);
    // Plain memory: what the CPU backend has computed stands there when its graph has been computed.
    const ggml_backend_buffer_t buffer = tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
    if (n_threads < 2 || size < 4 * kPieceBytes || buffer == nullptr ||
        ggml_backend_buffer_get_type(buffer) != ggml_backend_cpu_buffer_type() || !own_kernels().copies.is_on()) {
        // As ggml does where a backend has no function of its own.
        ggml_backend_synchronize(backend);
        ggml_backend_tensor_get(tensor, data, offset, size);
        return;
    }
    own_kernels().copies.count();
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

ggml_backend_t init_backend(ggml_backend_dev_t device, const char* params) {
    const auto init = [&] {
        const std::scoped_lock lock(g_mutex);
        return std::ranges::find(g_devices, device, &Device::device)->init;
    }();
    ggml_backend_t backend = init(device, params);
    if (backend == nullptr) return nullptr;
    if (backend->iface.get_tensor_async != nullptr) {
        throw std::runtime_error("ggml's CPU backend has got a get_tensor_async of its own");
    }
    backend->iface.get_tensor_async = get_in_pieces;
    return backend;
}

/// ggml's buffer type for repacked weights; null where a level has no use for it.
ggml_backend_buffer_type_t repack_type(ggml_backend_reg_t cpu) {
    const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(cpu, "ggml_backend_dev_get_extra_bufts"));
    if (list == nullptr) throw std::runtime_error("ggml's CPU backend lists no extra buffer types");
    for (auto* type = list(ggml_backend_reg_dev_get(cpu, 0)); type != nullptr && *type != nullptr; ++type) {
        if (std::string_view(ggml_backend_buft_name(*type)) == "CPU_REPACK") return *type;
    }
    return nullptr;
}

}  // namespace

void install_stand_ins(ggml_backend_reg_t cpu) {
    const std::scoped_lock lock(g_mutex);
    if (g_plain.allocate == nullptr) {
        ggml_backend_buffer_type_t plain = ggml_backend_cpu_buffer_type();
        g_plain.allocate = plain->iface.alloc_buffer;
        plain->iface.alloc_buffer = allocate_plain;
    }
    if (ggml_backend_buffer_type_t type = repack_type(cpu)) {
        g_repacking.push_back({type, type->iface.alloc_buffer});
        type->iface.alloc_buffer = allocate_repacked;
    }
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(cpu, 0);
    g_devices.push_back({device, device->iface.init_backend});
    device->iface.init_backend = init_backend;
}

void set_repack_threads(int n_threads) {
    g_repack_threads = std::max(1, n_threads);
}

std::uint64_t bytes_cleared_untouched() {
    return g_cleared_untouched;
}

}  // namespace sutazai::kernels
