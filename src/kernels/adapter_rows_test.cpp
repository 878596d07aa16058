// Adapters of single rows at every level of processor that this machine has, against sums in double precision, through
// ggml's own graphs.
#include "kernels/adapter_rows.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <random>
#include <vector>

#include "kernels/level_backend.h"

namespace sutazai::kernels {
namespace {

constexpr int kIn = 83;
constexpr int kOut = 61;

struct Matrices {
    Matrices(int rank, float scale, bool f16, std::uint32_t seed) : pair{.rank = rank, .scale = scale, .is_f16 = f16} {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (auto& [values, halves, n] : {std::tuple(&a, &half_a, kIn), std::tuple(&b, &half_b, kOut)}) {
            for (int i = 0; i < rank * n; ++i) {
                halves->push_back(ggml_fp32_to_fp16(normal(random)));
                values->push_back(ggml_fp16_to_fp32(halves->back()));
            }
        }
        pair.a = f16 ? static_cast<const void*>(half_a.data()) : a.data();
        pair.b = f16 ? static_cast<const void*>(half_b.data()) : b.data();
    }
    Matrices(const Matrices&) = delete;
    Matrices& operator=(const Matrices&) = delete;

    std::vector<float> a, b;
    std::vector<ggml_fp16_t> half_a, half_b;
    AdapterPair pair;
};

class AdapterRows : public testing::TestWithParam<CpuLevel> {};

TEST_P(AdapterRows, GetWhatTheirOwnSetSays) {
    const Matrices one(5, 0.5F, false, 1);
    const Matrices two(16, 2, true, 2);
    const std::vector<AdapterPair> pairs_one{{}, one.pair};
    const std::vector<AdapterPair> pairs_two{{}, two.pair};
    const std::vector<AdapterPair> nothing;  // has none for this weight
    AdapterStep step;
    step.sets = {{{pairs_one, 1}}, {{pairs_two, -3}}, {{pairs_one, 0.25F}, {nothing, 1}, {pairs_two, 1}}};
    const std::vector<int> sets{-1, 0, 0, 0, 0, 0, 1, 2, 2, 2, -1};
    step.tokens = {{0, 1, -1}, {1, 6, 0}, {6, 7, 1}, {7, 10, 2}, {10, 11, -1}};
    const int n_rows = static_cast<int>(sets.size());

    LevelBackend backend(GetParam());
    ggml_init_params params{};
    params.mem_size = std::size_t{1} << 20;
    params.no_alloc = true;
    const ggml_context_ptr places(ggml_init(params));
    const ggml_context_ptr context(ggml_init(params));
    alignas(64) std::array<std::byte, 64> bytes{};
    const ggml_backend_buffer_ptr buffer(ggml_backend_cpu_buffer_from_ptr(bytes.data(), bytes.size()));
    step.places = buffer.get();
    std::array<AdapterPlace, 2> which{{{1, false}, {1, true}}};
    const auto place = [&](int n_in, int n_out, AdapterPlace& its) {
        ggml_tensor* tensor = ggml_new_tensor_2d(places.get(), GGML_TYPE_F32, n_in, n_out);
        tensor->buffer = buffer.get();
        tensor->data = bytes.data();
        tensor->extra = &its;
        return tensor;
    };
    ggml_tensor* a = place(kIn, 64, which[0]);
    ggml_tensor* b = place(64, kOut, which[1]);
    ggml_tensor* x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kIn, n_rows);
    ggml_set_input(x);
    ggml_tensor* y = ggml_mul_mat(context.get(), b, ggml_mul_mat(context.get(), a, x));
    ggml_set_output(y);
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, y);
    const std::unique_ptr<ggml_gallocr, decltype(&ggml_gallocr_free)> memory(
        ggml_gallocr_new(ggml_backend_cpu_buffer_type()), ggml_gallocr_free);
    ASSERT_TRUE(ggml_gallocr_alloc_graph(memory.get(), graph));
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> rows(static_cast<std::size_t>(kIn) * n_rows);
    for (float& value : rows) value = normal(random);

    for (const int threads : {1, 2, 3}) {
        ggml_backend_tensor_set(x, rows.data(), 0, ggml_nbytes(x));  // its memory becomes another's later
        adapter_step() = &step;
        ASSERT_EQ(backend.compute(graph, threads), GGML_STATUS_SUCCESS);
        adapter_step() = nullptr;
        EXPECT_FALSE(step.is_broken);
        std::vector<float> got(static_cast<std::size_t>(kOut) * n_rows);
        ggml_backend_tensor_get(y, got.data(), 0, ggml_nbytes(y));
        for (int row = 0; row < n_rows; ++row) {
            std::vector<double> expected(kOut, 0);
            const auto add = [&](const Matrices& m, double scale) {
                for (int k = 0; k < m.pair.rank; ++k) {
                    double h = 0;
                    for (int i = 0; i < kIn; ++i) h += static_cast<double>(m.a[k * kIn + i]) * rows[row * kIn + i];
                    for (int o = 0; o < kOut; ++o) expected[o] += scale * m.pair.scale * h * m.b[k * kOut + o];
                }
            };
            if (sets[row] == 0) add(one, 1);
            if (sets[row] == 1) add(two, -3);
            if (sets[row] == 2) add(one, 0.25), add(two, 1);
            for (int o = 0; o < kOut; ++o) {
                ASSERT_NEAR(got[row * kOut + o], expected[o], 2e-3) << "row " << row << " of " << threads << " threads";
            }
        }
    }
    // Rows that nobody has told of are no reason to write somewhere.
    step.tokens.pop_back();
    adapter_step() = &step;
    ASSERT_EQ(backend.compute(graph, 2), GGML_STATUS_SUCCESS);
    adapter_step() = nullptr;
    EXPECT_TRUE(step.is_broken);
}

INSTANTIATE_TEST_SUITE_P(Levels, AdapterRows, testing::ValuesIn(cpu_levels().begin(), cpu_levels().end()),
                         [](const auto& info) { return level_label(info.param); });

}  // namespace
}  // namespace sutazai::kernels
