// The matrix kernels against sums in double precision, through ggml's own graphs and buffers.
#include "kernels/matmul.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

namespace sutazai::kernels {
namespace {

struct FreeContext {
    void operator()(ggml_context* context) const { ggml_free(context); }
};
struct FreeBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};
using Context = std::unique_ptr<ggml_context, FreeContext>;

Context make_context(std::size_t bytes, bool no_alloc) {
    ggml_init_params params{};
    params.mem_size = bytes;
    params.no_alloc = no_alloc;
    return Context(ggml_init(params));
}

/// ggml's buffer type that interleaves columns, as llama.cpp finds it.
ggml_backend_buffer_type_t repacking() {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    auto* list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
    for (ggml_backend_buffer_type_t* type = list(cpu); type != nullptr && *type != nullptr; ++type) {
        if (std::strcmp(ggml_backend_buft_name(*type), "CPU_REPACK") == 0) return *type;
    }
    return nullptr;
}

/// Weights of one product, random, with what they are when they are unpacked.
class WeightMatrix {
  public:
    WeightMatrix(ggml_type type, int n, int columns, std::uint32_t seed, bool repack)
        : context_(make_context(1U << 20, true)),
          tensor(ggml_new_tensor_2d(context_.get(), type, n, columns)),
          values(static_cast<std::size_t>(n) * columns) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (float& v : values) v = normal(random);
        std::vector<std::byte> packed(ggml_nbytes(tensor));
        ggml_quantize_chunk(type, values.data(), packed.data(), 0, columns, n, nullptr);
        ggml_get_type_traits(type)->to_float(packed.data(), values.data(), static_cast<std::int64_t>(values.size()));
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(),
                                                               repack ? repacking() : ggml_backend_cpu_buffer_type()));
        ggml_backend_tensor_set(tensor, packed.data(), 0, packed.size());
    }

  private:
    Context context_;
    std::unique_ptr<ggml_backend_buffer, FreeBuffer> buffer_;

  public:
    ggml_tensor* tensor;
    std::vector<float> values;
};

/// [rows][columns]
std::vector<float> product(const WeightMatrix& weights, std::span<const float> rows, int threads) {
    const Context context = make_context(256U << 20, false);
    const std::int64_t n = weights.tensor->ne[0];
    ggml_tensor* x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, n, static_cast<std::int64_t>(rows.size()) / n);
    std::memcpy(x->data, rows.data(), rows.size_bytes());
    ggml_tensor* result = ggml_mul_mat(context.get(), weights.tensor, x);
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, result);
    EXPECT_EQ(ggml_graph_compute_with_ctx(context.get(), graph, threads), GGML_STATUS_SUCCESS);
    const auto* data = static_cast<const float*>(result->data);
    return {data, data + ggml_nelements(result)};
}

std::vector<float> random_rows(int n, int rows, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<std::size_t>(n) * rows);
    // Each row with its own range, so that a scale of another row would be noticed.
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = normal(random) * std::exp2(static_cast<float>(i / n % 9) - 4);
    return out;
}

/// Activations are rounded to 255 steps of the largest of their block of 32: the error of a sum over n of them is about
/// sqrt(n) x the rounding error of one x the size of a weight.
void expect_product(const WeightMatrix& weights, std::span<const float> rows, std::span<const float> got) {
    const std::int64_t n = weights.tensor->ne[0];
    const std::int64_t columns = weights.tensor->ne[1];
    const std::int64_t n_rows = static_cast<std::int64_t>(rows.size()) / n;
    ASSERT_EQ(static_cast<std::int64_t>(got.size()), n_rows * columns);
    for (std::int64_t r = 0; r < n_rows; ++r) {
        double largest = 0;
        for (std::int64_t i = 0; i < n; ++i) largest = std::max<double>(largest, std::abs(rows[r * n + i]));
        const double tolerance = 6 * std::sqrt(static_cast<double>(n)) * largest / 254 / std::sqrt(3.0);
        for (std::int64_t c = 0; c < columns; ++c) {
            double sum = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                sum += static_cast<double>(rows[r * n + i]) * weights.values[c * n + i];
            }
            ASSERT_NEAR(got[r * columns + c], sum, tolerance) << "row " << r << ", column " << c;
        }
    }
}

struct Case {
    ggml_type type;
    bool repack;
};

[[maybe_unused]] void PrintTo(const Case& c, std::ostream* out) {
    *out << ggml_type_name(c.type) << (c.repack ? ", repacked" : ", plain");
}

class Matmul : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        ggml_cpu_init();
        use_own_matmul(true);
        if (GetParam().repack && repacking() == nullptr) GTEST_SKIP() << "this processor's ggml repacks nothing";
    }
    void TearDown() override { use_own_matmul(true); }
};

TEST_P(Matmul, IsTheSumOfProducts) {
    for (const int n : {32, 64, 896}) {
        for (const int columns : {8, 16, 24, 200}) {
            const WeightMatrix weights(GetParam().type, n, columns, 1, GetParam().repack);
            for (const int n_rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 21}) {
                SCOPED_TRACE(testing::Message() << n << " values, " << columns << " columns, " << n_rows << " rows");
                const auto rows = random_rows(n, n_rows, 2);
                expect_product(weights, rows, product(weights, rows, 2));
            }
        }
    }
}

TEST(MatmulPlain, AnyNumberOfColumns) {
    ggml_cpu_init();
    for (int columns = 1; columns < 40; ++columns) {
        const WeightMatrix weights(GGML_TYPE_Q8_0, 96, columns, 3, false);
        const auto rows = random_rows(96, 3, 4);
        expect_product(weights, rows, product(weights, rows, 1));
    }
}

TEST_P(Matmul, ARowIsTheSameToTheLastBitInAnyCompany) {
    if (!has_own_matmul()) GTEST_SKIP() << "ggml's kernels differ with the number of rows";
    constexpr int kN = 256;
    constexpr int kColumns = 72;
    const WeightMatrix weights(GetParam().type, kN, kColumns, 5, GetParam().repack);
    const auto rows = random_rows(kN, 19, 6);
    const auto together = product(weights, rows, 2);
    for (int r = 0; r < 19; ++r) {
        const auto alone = product(weights, std::span(rows).subspan(static_cast<std::size_t>(r) * kN, kN), 1);
        for (int c = 0; c < kColumns; ++c) ASSERT_EQ(alone[c], together[r * kColumns + c]) << r << ", " << c;
    }
}

TEST_P(Matmul, TheLargestWeightsAndActivationsDoNotOverflow) {
    WeightMatrix weights(GetParam().type, 4864, 16, 7, GetParam().repack);
    for (const float sign : {1.0F, -1.0F}) {
        std::vector<float> rows(static_cast<std::size_t>(4864) * 2);
        for (std::size_t i = 0; i < rows.size(); ++i)
            rows[i] = sign * (weights.values[i % 4864] > 0 ? 100.0F : -100.0F);
        expect_product(weights, rows, product(weights, rows, 2));
    }
}

TEST_P(Matmul, RowsOfNothingButZeroes) {
    const WeightMatrix weights(GetParam().type, 64, 16, 8, GetParam().repack);
    for (const float v : product(weights, std::vector<float>(128), 1)) EXPECT_EQ(v, 0.0F);
}

TEST_P(Matmul, IsWhatGgmlComputesButForRounding) {
    const WeightMatrix weights(GetParam().type, 896, 64, 9, GetParam().repack);
    const auto rows = random_rows(896, 13, 10);
    const auto own = product(weights, rows, 2);
    use_own_matmul(false);
    const auto theirs = product(weights, rows, 2);
    bool differ = false;
    for (std::size_t i = 0; i < own.size(); ++i) {
        // ggml keeps the scales of activations in half precision.
        ASSERT_NEAR(own[i], theirs[i], 0.002 * 30 * std::exp2(static_cast<double>(i / 64 % 9) - 4));
        differ |= own[i] != theirs[i];
    }
    EXPECT_EQ(differ, has_own_matmul()) << "the switch switches nothing";
}

INSTANTIATE_TEST_SUITE_P(Types, Matmul, testing::Values(Case{GGML_TYPE_Q4_0, true}, Case{GGML_TYPE_Q8_0, false}),
                         [](const auto& info) { return info.param.repack ? "Q4Repacked" : "Q8Plain"; });

}  // namespace
}  // namespace sutazai::kernels
