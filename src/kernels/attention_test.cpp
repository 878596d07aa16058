// The attention kernel against sums in double precision, through ggml's own graphs.
#include "kernels/attention.h"

#include <ggml-cpu.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

namespace sutazai::kernels {
namespace {

struct Shape {
    int head_size = 64;
    int heads = 14;
    int kv_heads = 2;
    int rows = 5;
    int cells = 300;
    ggml_type type = GGML_TYPE_F16;
    int threads = 1;
};

/// One operation with random contents: row r sees the cells for which sees(r, cell) holds.
class Operation {
  public:
    template <typename Sees>
    Operation(const Shape& shape, std::uint32_t seed, Sees sees) : shape_(shape) {
        ggml_init_params params{};
        params.mem_size = 256U << 20;
        ggml_cpu_init();
        context_.reset(ggml_init(params));
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        q_ = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F32, shape.head_size, shape.rows, shape.heads, 1);
        // As llama.cpp has them: a cell's heads stand side by side.
        ggml_tensor* k = ggml_new_tensor_3d(context_.get(), shape.type, shape.head_size, shape.kv_heads, shape.cells);
        ggml_tensor* v = ggml_new_tensor_3d(context_.get(), shape.type, shape.head_size, shape.kv_heads, shape.cells);
        mask_ = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F16, shape.cells, shape.rows, 1, 1);
        for (ggml_tensor* t : {q_, k, v}) {
            for (std::int64_t i = 0; i < ggml_nelements(t); ++i)
                ggml_set_f32_1d(t, static_cast<int>(i), normal(random));
        }
        for (int r = 0; r < shape.rows; ++r) {
            for (int c = 0; c < shape.cells; ++c) {
                ggml_set_f32_nd(mask_, c, r, 0, 0, sees(r, c) ? 0.0F : -INFINITY);
            }
        }
        k_ = ggml_permute(context_.get(), k, 0, 2, 1, 3);
        v_ = ggml_permute(context_.get(), v, 0, 2, 1, 3);
        result_ = ggml_flash_attn_ext(context_.get(), q_, k_, v_, mask_, scale(), 0, 0);
        graph_ = ggml_new_graph(context_.get());
        ggml_build_forward_expand(graph_, result_);
    }

    std::vector<float> compute() {
        EXPECT_EQ(ggml_graph_compute_with_ctx(context_.get(), graph_, shape_.threads), GGML_STATUS_SUCCESS);
        const auto* data = static_cast<const float*>(result_->data);
        return {data, data + ggml_nelements(result_)};
    }

    /// The same by definition; [head size, heads, rows] like the result.
    std::vector<double> expected() const {
        std::vector<double> out;
        for (int r = 0; r < shape_.rows; ++r) {
            for (int h = 0; h < shape_.heads; ++h) {
                const int kv_head = h / (shape_.heads / shape_.kv_heads);
                std::vector<double> weights(shape_.cells, 0.0);
                double total = 0;
                for (int c = 0; c < shape_.cells; ++c) {
                    if (ggml_get_f32_nd(mask_, c, r, 0, 0) != 0) continue;
                    double dot = 0;
                    for (int i = 0; i < shape_.head_size; ++i) {
                        dot += static_cast<double>(ggml_get_f32_nd(q_, i, r, h, 0)) *
                               ggml_get_f32_nd(k_, i, c, kv_head, 0);
                    }
                    total += weights[c] = std::exp(dot * scale());
                }
                for (int i = 0; i < shape_.head_size; ++i) {
                    double sum = 0;
                    for (int c = 0; c < shape_.cells; ++c) sum += weights[c] * ggml_get_f32_nd(v_, i, c, kv_head, 0);
                    out.push_back(total > 0 ? sum / total : 0.0);
                }
            }
        }
        return out;
    }

  private:
    [[nodiscard]] float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape_.head_size)); }

    struct Free {
        void operator()(ggml_context* context) const { ggml_free(context); }
    };
    Shape shape_;
    std::unique_ptr<ggml_context, Free> context_;
    ggml_tensor *q_, *k_, *v_, *mask_, *result_;
    ggml_cgraph* graph_;
};

void expect_close(const std::vector<float>& got, const std::vector<double>& wanted, double tolerance) {
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], tolerance) << "value " << i;
}

/// Row r belongs to sequence r; the cells of 7 sequences alternate.
bool own_cells(int row, int cell) {
    return cell % 7 == row % 7;
}

TEST(Attention, ComputesWhatEachRowSees) {
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32}) {
        for (const int head_size : {32, 48, 64, 80, 96, 128, 192, 256}) {
            SCOPED_TRACE(head_size);
            Operation operation({.head_size = head_size, .type = type}, 1, own_cells);
            expect_close(operation.compute(), operation.expected(), 2e-6);
        }
    }
}

TEST(Attention, EveryNumberOfHeadsRowsCellsAndThreads) {
    for (const int threads : {1, 2, 3}) {
        for (const auto& [heads, kv_heads] : {std::pair{1, 1}, {8, 8}, {14, 2}, {12, 4}, {16, 1}}) {
            for (const int rows : {1, 2, 7, 66}) {
                for (const int cells : {1, 31, 33, 150}) {
                    SCOPED_TRACE(testing::Message() << threads << " threads, " << heads << "/" << kv_heads << " heads, "
                                                    << rows << " rows, " << cells << " cells");
                    Operation operation(
                        {.heads = heads, .kv_heads = kv_heads, .rows = rows, .cells = cells, .threads = threads}, 2,
                        own_cells);
                    // Where ggml computes, it accumulates in half precision.
                    expect_close(operation.compute(), operation.expected(), rows * kv_heads < threads ? 4e-3 : 2e-6);
                }
            }
        }
    }
}

TEST(Attention, ARowThatSeesNothingIsZero) {
    Operation operation({}, 3, [](int row, int cell) { return row != 2 && cell < 50; });
    expect_close(operation.compute(), operation.expected(), 2e-6);
}

TEST(Attention, DenseBatchesGoToGgmlAndAgree) {
    const auto causal = [](int row, int cell) { return cell <= 100 + row; };
    Operation operation({.rows = 128, .cells = 256, .threads = 2}, 4, causal);
    expect_close(operation.compute(), operation.expected(), 4e-3);
}

/// A batch of sequences over one memory whose cells stand in no order, each row a window of 20 of its own.
TEST(Attention, SlidingWindows) {
    const auto window = [](int row, int cell) {
        const int position = cell * 37 % 400;  // of the cell's token in its sequence
        return cell % 3 == row % 3 && position <= 250 + row && position > 230 + row;
    };
    for (const int rows : {1, 9, 70}) {
        for (const int threads : {1, 2}) {
            Operation operation({.rows = rows, .cells = 400, .threads = threads}, 6, window);
            expect_close(operation.compute(), operation.expected(), 2e-6);
        }
    }
}

TEST(Attention, OtherHeadSizesGoToGgmlAndAgree) {
    for (const int head_size : {40, 72, 512}) {
        SCOPED_TRACE(head_size);
        Operation operation({.head_size = head_size}, 7, own_cells);
        expect_close(operation.compute(), operation.expected(), 4e-3);
    }
}

TEST(Attention, CanBeSwitchedOff) {
    Operation operation({}, 5, own_cells);
    const std::vector<float> own = operation.compute();
    use_own_attention(false);
    const std::vector<float> ggml = operation.compute();
    use_own_attention(true);
    expect_close(ggml, operation.expected(), 4e-3);
    if (has_own_attention()) {
        EXPECT_NE(own, ggml) << "the same kernel twice: the test shows nothing";
    }
}

}  // namespace
}  // namespace sutazai::kernels
