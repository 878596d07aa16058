// Matrix products at every level of processor that this machine has, against sums in double precision, through ggml's
// own graphs and buffers.
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/level_backend.h"
#include "kernels/own_kernels.h"

namespace sutazai::kernels {
namespace {

ggml_context_ptr make_context(std::size_t bytes, bool no_alloc) {
    ggml_init_params params{};
    params.mem_size = bytes;
    params.no_alloc = no_alloc;
    return ggml_context_ptr(ggml_init(params));
}

/// Weights of one product, random, with what they are when they are unpacked.
class WeightMatrix {
  public:
    /// In plain memory, or where `memory` says.
    WeightMatrix(ggml_type type, int n, int columns, std::uint32_t seed, ggml_backend_buffer_type_t memory)
        : context_(make_context(1U << 20, true)),
          tensor(ggml_new_tensor_2d(context_.get(), type, n, columns)),
          values(static_cast<std::size_t>(n) * columns) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (float& v : values) v = normal(random);
        std::vector<std::byte> packed(ggml_nbytes(tensor));
        ggml_quantize_chunk(type, values.data(), packed.data(), 0, columns, n, nullptr);
        ggml_get_type_traits(type)->to_float(packed.data(), values.data(), static_cast<std::int64_t>(values.size()));
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(
            context_.get(), memory != nullptr ? memory : ggml_backend_cpu_buffer_type()));
        ggml_backend_tensor_set(tensor, packed.data(), 0, packed.size());
    }

  private:
    ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;

  public:
    ggml_tensor* tensor;
    std::vector<float> values;
};

std::vector<float> random_rows(int n, int rows, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<std::size_t>(n) * rows);
    // Each row with its own range, so that a scale of another row would be noticed.
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = normal(random) * std::exp2(static_cast<float>(i / n % 9) - 4);
    return out;
}

struct Case {
    CpuLevel level;
    ggml_type type;
    bool repacked;
};

std::string label(const Case& c) {
    return level_label(c.level) + "_" + ggml_type_name(c.type) + (c.repacked ? "_repacked" : "_plain");
}

[[maybe_unused]] void PrintTo(const Case& c, std::ostream* out) {
    *out << label(c);
}

/// Each type in each kind of memory that llama.cpp would put it into, at each level.
std::vector<Case> cases() {
    std::vector<Case> all;
    for (const CpuLevel& level : cpu_levels()) {
        const LevelBackend backend(level);
        for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q8_0}) {
            all.push_back({level, type, false});
            if (backend.repacks(type, 64, 64)) all.push_back({level, type, true});
        }
    }
    return all;
}

class Matmul : public testing::TestWithParam<Case> {
  protected:
    [[nodiscard]] WeightMatrix weights(int n, int columns, std::uint32_t seed) const {
        return {GetParam().type, n, columns, seed, GetParam().repacked ? backend.repacking() : nullptr};
    }

    /// Our kernels are made for weights as llama.cpp keeps them on such a processor: Q4_0 repacked, Q8_0 plain.
    [[nodiscard]] bool is_ours() const {
        return GetParam().level.has_own_products() && own_kernels().products.is_on() &&
               GetParam().repacked == (GetParam().type == GGML_TYPE_Q4_0);
    }

    /// [rows][columns]
    std::vector<float> product(const WeightMatrix& weights, std::span<const float> rows, int threads) {
        const ggml_context_ptr context = make_context(256U << 20, false);
        const std::int64_t n = weights.tensor->ne[0];
        ggml_tensor* x =
            ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, n, static_cast<std::int64_t>(rows.size()) / n);
        std::memcpy(x->data, rows.data(), rows.size_bytes());
        ggml_tensor* result = ggml_mul_mat(context.get(), weights.tensor, x);
        ggml_cgraph* graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, result);
        const std::uint64_t before = own_kernels().products.done;
        EXPECT_EQ(backend.compute(graph, threads), GGML_STATUS_SUCCESS);
        EXPECT_EQ(own_kernels().products.done - before, is_ours() ? 1 : 0) << "who computed";
        const auto* data = static_cast<const float*>(result->data);
        return {data, data + ggml_nelements(result)};
    }

    /// Activations are rounded to 255 steps of the largest of their block of 32: each is wrong by up to half a step,
    /// evenly distributed, so that the error of a sum over n of them is about sqrt(n) x a step / sqrt(12) x the size of
    /// a weight. Six of these deviations are allowed. ggml then keeps the step in half precision (11 bits): as it
    /// is the same for a whole block, and may be for all, that error does not average out, and may be 2^-11 of the sum
    /// of all magnitudes.
    void expect_product(const WeightMatrix& weights, std::span<const float> rows, std::span<const float> got) const {
        const std::int64_t n = weights.tensor->ne[0];
        const std::int64_t columns = weights.tensor->ne[1];
        const std::int64_t n_rows = static_cast<std::int64_t>(rows.size()) / n;
        ASSERT_EQ(static_cast<std::int64_t>(got.size()), n_rows * columns);
        for (std::int64_t r = 0; r < n_rows; ++r) {
            double largest = 0;
            for (std::int64_t i = 0; i < n; ++i) largest = std::max<double>(largest, std::abs(rows[r * n + i]));
            const double rounding = 6 * std::sqrt(static_cast<double>(n)) * largest / 127 / std::sqrt(12.0);
            for (std::int64_t c = 0; c < columns; ++c) {
                double sum = 0;
                double magnitudes = 0;
                for (std::int64_t i = 0; i < n; ++i) {
                    const double term = static_cast<double>(rows[r * n + i]) * weights.values[c * n + i];
                    sum += term;
                    magnitudes += std::abs(term);
                }
                const double tolerance = rounding + (is_ours() ? 0 : magnitudes / 2048);
                ASSERT_NEAR(got[r * columns + c], sum, tolerance) << "row " << r << ", column " << c;
            }
        }
    }

    void TearDown() override { own_kernels().products.on = true; }

    LevelBackend backend{GetParam().level};
};

TEST_P(Matmul, IsTheSumOfProducts) {
    for (const int n : {32, 64, 416}) {
        for (const int columns : {8, 24, 200}) {
            const WeightMatrix w = weights(n, columns, 1);
            for (const int n_rows : {1, 2, 3, 4, 5, 6, 7, 8, 21}) {
                SCOPED_TRACE(testing::Message() << n << " values, " << columns << " columns, " << n_rows << " rows");
                const auto rows = random_rows(n, n_rows, 2);
                expect_product(w, rows, product(w, rows, 2));
            }
        }
    }
}

TEST_P(Matmul, AnyNumberOfColumns) {
    for (int columns = GetParam().repacked ? 8 : 1; columns < 40; columns += GetParam().repacked ? 8 : 1) {
        const WeightMatrix w = weights(96, columns, 3);
        const auto rows = random_rows(96, 3, 4);
        expect_product(w, rows, product(w, rows, 1));
    }
}

TEST_P(Matmul, ARowOfOursIsTheSameToTheLastBitInAnyCompany) {
    constexpr int kN = 256;
    constexpr int kColumns = 72;
    const WeightMatrix w = weights(kN, kColumns, 5);
    const auto rows = random_rows(kN, 19, 6);
    const auto together = product(w, rows, 2);
    expect_product(w, rows, together);
    for (int r = 0; r < 19; ++r) {
        const auto row = std::span(rows).subspan(static_cast<std::size_t>(r) * kN, kN);
        const auto alone = product(w, row, 1);
        expect_product(w, row, alone);
        if (!is_ours()) continue;  // ggml's kernels differ with the number of rows
        for (int c = 0; c < kColumns; ++c) ASSERT_EQ(alone[c], together[r * kColumns + c]) << r << ", " << c;
    }
}

TEST_P(Matmul, TheLargestWeightsAndActivationsDoNotOverflow) {
    const WeightMatrix w = weights(4864, 16, 7);
    for (const float sign : {1.0F, -1.0F}) {
        std::vector<float> rows(static_cast<std::size_t>(4864) * 2);
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = sign * (w.values[i % 4864] > 0 ? 100.0F : -100.0F);
        expect_product(w, rows, product(w, rows, 2));
    }
}

TEST_P(Matmul, RowsOfNothingButZeroes) {
    const WeightMatrix w = weights(64, 16, 8);
    for (const float v : product(w, std::vector<float>(128), 1)) EXPECT_EQ(v, 0.0F);
}

TEST_P(Matmul, CanBeLeftToGgml) {
    const WeightMatrix w = weights(896, 64, 9);
    const auto rows = random_rows(896, 13, 10);
    own_kernels().products.on = false;
    expect_product(w, rows, product(w, rows, 2));
}

INSTANTIATE_TEST_SUITE_P(Levels, Matmul, testing::ValuesIn(cases()),
                         [](const auto& info) { return label(info.param); });

}  // namespace
}  // namespace sutazai::kernels
