// What a matrix product takes with the kernels of matmul.cpp and with ggml's: for each shape and number of rows the
// shortest of several runs, alternating. `sutazai_matmul_bench [threads]`; SUTAZAI_CPU_LEVEL caps the level.
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/level_backend.h"
#include "kernels/own_kernels.h"

namespace {

using sutazai::kernels::LevelBackend;
using sutazai::kernels::own_kernels;

struct Shape {
    const char* name;
    ggml_type type;
    int n;
    int columns;
    bool repack;
};

/// Milliseconds for one product with each kernel: {ours, ggml's}.
std::array<double, 2> measure(ggml_tensor* weights, int rows, LevelBackend& backend, int threads) {
    ggml_init_params params{};
    params.mem_size = 1U << 20;
    params.no_alloc = true;
    ggml_context* context = ggml_init(params);
    ggml_tensor* x = ggml_new_tensor_2d(context, GGML_TYPE_F32, weights->ne[0], rows);
    ggml_tensor* result = ggml_mul_mat(context, weights, x);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_cpu_buffer_type());
    std::vector<float> values(static_cast<std::size_t>(ggml_nelements(x)));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 2654435761U % 1000) / 500 - 1;
    ggml_backend_tensor_set(x, values.data(), 0, ggml_nbytes(x));
    ggml_cgraph* graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, result);
    std::array<double, 2> best{std::numeric_limits<double>::max(), std::numeric_limits<double>::max()};
    constexpr int kRuns = 7;
    for (int run = 0; run < kRuns; ++run) {
        for (int side = 0; side < 2; ++side) {
            own_kernels().products.on = side == 0;
            const auto start = std::chrono::steady_clock::now();
            backend.compute(graph, threads);
            const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
            best[side] = std::min(best[side], took.count());
        }
    }
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
    return best;
}

}  // namespace

int main(int argc, char** argv) {
    const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 2;
    const auto& level = sutazai::kernels::cpu_level();
    LevelBackend backend(level);
    std::printf("level %s\n", std::string(level.name).c_str());
    constexpr std::array kShapes{Shape{"Q4_0 896 x 4864", GGML_TYPE_Q4_0, 896, 4864, true},
                                 Shape{"Q4_0 4864 x 896", GGML_TYPE_Q4_0, 4864, 896, true},
                                 Shape{"Q4_0 896 x 896", GGML_TYPE_Q4_0, 896, 896, true},
                                 Shape{"Q4_0 896 x 151936", GGML_TYPE_Q4_0, 896, 151936, true},
                                 Shape{"Q8_0 896 x 151936", GGML_TYPE_Q8_0, 896, 151936, false},
                                 Shape{"Q8_0 64 x 151936", GGML_TYPE_Q8_0, 64, 151936, false}};
    std::printf("%-20s %5s %10s %10s %7s %12s\n", "weights", "rows", "ours ms", "ggml ms", "ratio", "ours GMAC/s");
    for (const Shape& shape : kShapes) {
        ggml_init_params params{};
        params.mem_size = 1U << 20;
        params.no_alloc = true;
        ggml_context* context = ggml_init(params);
        ggml_tensor* weights = ggml_new_tensor_2d(context, shape.type, shape.n, shape.columns);
        const bool repack = shape.repack && backend.repacks(shape.type, shape.n, shape.columns);
        ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(
            context, repack ? backend.repacking() : ggml_backend_cpu_buffer_type());
        std::vector<float> values(static_cast<std::size_t>(shape.n) * shape.columns);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 40503U % 997) / 500 - 1;
        std::vector<std::byte> packed(ggml_nbytes(weights));
        ggml_quantize_chunk(shape.type, values.data(), packed.data(), 0, shape.columns, shape.n, nullptr);
        ggml_backend_tensor_set(weights, packed.data(), 0, packed.size());
        for (const int rows : {1, 2, 3, 4, 5, 8, 12, 16, 31, 32, 64, 256, 512}) {
            if (shape.columns > 100000 && rows > 64) continue;
            const auto [ours, theirs] = measure(weights, rows, backend, threads);
            std::printf("%-20s %5d %10.3f %10.3f %7.2f %12.1f\n", shape.name, rows, ours, theirs, ours / theirs,
                        static_cast<double>(shape.n) * shape.columns * rows / ours / 1e6);
        }
        ggml_backend_buffer_free(buffer);
        ggml_free(context);
    }
    return 0;
}
