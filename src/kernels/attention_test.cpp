// Attention at every level of processor that this machine has, against sums in double precision, through ggml's own
// graphs.
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/level_backend.h"
#include "kernels/own_kernels.h"

namespace sutazai::kernels {
namespace {

struct Shape {
    int head_size = 64;
    int heads = 6;
    int kv_heads = 2;
    int rows = 5;
    int cells = 300;
    ggml_type type = GGML_TYPE_F16;
    int threads = 1;
};

/// Value i of a tensor of single or half precision.
void set_value(ggml_tensor* t, std::int64_t i, float value) {
    if (t->type == GGML_TYPE_F32) {
        static_cast<float*>(t->data)[i] = value;
    } else {
        static_cast<ggml_fp16_t*>(t->data)[i] = ggml_fp32_to_fp16(value);
    }
}

/// The value at these indices, whatever the strides.
float value_at(const ggml_tensor* t, std::int64_t i0, std::int64_t i1, std::int64_t i2) {
    const char* at = static_cast<const char*>(t->data) + static_cast<std::size_t>(i0) * t->nb[0] +
                     static_cast<std::size_t>(i1) * t->nb[1] + static_cast<std::size_t>(i2) * t->nb[2];
    if (t->type == GGML_TYPE_F32) return *reinterpret_cast<const float*>(at);
    return ggml_fp16_to_fp32(*reinterpret_cast<const ggml_fp16_t*>(at));
}

/// One operation with random contents: row r sees the cells for which sees(r, cell) holds.
class Operation {
  public:
    template <typename Sees>
    Operation(const Shape& shape, std::uint32_t seed, Sees sees) : shape_(shape) {
        ggml_init_params params{};
        params.mem_size = 256U << 20;
        context_.reset(ggml_init(params));
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        q_ = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F32, shape.head_size, shape.rows, shape.heads, 1);
        // As llama.cpp has them: a cell's heads stand side by side.
        ggml_tensor* k = ggml_new_tensor_3d(context_.get(), shape.type, shape.head_size, shape.kv_heads, shape.cells);
        ggml_tensor* v = ggml_new_tensor_3d(context_.get(), shape.type, shape.head_size, shape.kv_heads, shape.cells);
        mask_ = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F16, shape.cells, shape.rows, 1, 1);
        for (ggml_tensor* t : {q_, k, v}) {
            for (std::int64_t i = 0; i < ggml_nelements(t); ++i) set_value(t, i, normal(random));
        }
        for (int r = 0; r < shape.rows; ++r) {
            for (int c = 0; c < shape.cells; ++c) {
                set_value(mask_, static_cast<std::int64_t>(r) * shape.cells + c, sees(r, c) ? 0.0F : -INFINITY);
            }
        }
        k_ = ggml_permute(context_.get(), k, 0, 2, 1, 3);
        v_ = ggml_permute(context_.get(), v, 0, 2, 1, 3);
        result_ = ggml_flash_attn_ext(context_.get(), q_, k_, v_, mask_, scale(), 0, 0);
        graph_ = ggml_new_graph(context_.get());
        ggml_build_forward_expand(graph_, result_);
    }

    std::vector<float> compute(LevelBackend& backend) {
        EXPECT_EQ(backend.compute(graph_, shape_.threads), GGML_STATUS_SUCCESS);
        const auto* data = static_cast<const float*>(result_->data);
        return {data, data + ggml_nelements(result_)};
    }

    /// The same by definition; [head size, heads, rows] like the result.
    struct Value {
        double value = 0;
        double magnitude = 0;  ///< the same of the magnitudes of V
        int cells = 0;         ///< that the row sees
    };
    std::vector<Value> expected() const {
        std::vector<Value> out;
        for (int r = 0; r < shape_.rows; ++r) {
            for (int h = 0; h < shape_.heads; ++h) {
                const int kv_head = h / (shape_.heads / shape_.kv_heads);
                std::vector<double> weights(shape_.cells, 0.0);
                double total = 0;
                int seen = 0;
                for (int c = 0; c < shape_.cells; ++c) {
                    if (value_at(mask_, c, r, 0) != 0) continue;
                    ++seen;
                    double dot = 0;
                    for (int i = 0; i < shape_.head_size; ++i) {
                        dot += static_cast<double>(value_at(q_, i, r, h)) * value_at(k_, i, c, kv_head);
                    }
                    total += weights[c] = std::exp(dot * scale());
                }
                for (int i = 0; i < shape_.head_size; ++i) {
                    Value sum{.cells = seen};
                    for (int c = 0; c < shape_.cells; ++c) {
                        const double term = weights[c] * value_at(v_, i, c, kv_head);
                        sum.value += total > 0 ? term / total : 0;
                        sum.magnitude += total > 0 ? std::abs(term) / total : 0;
                    }
                    out.push_back(sum);
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

/// Ours computes in single precision throughout. ggml rounds the sum to half precision (11 bits) after each cell: each
/// time it is wrong by up to half a step of 2^-10 of what it is, evenly distributed. Six deviations of their sum are
/// allowed, and a thousandth for the queries, which it rounds as well.
double tolerance(const Operation::Value& wanted, bool ours) {
    if (ours) return 2e-6;
    return (6 * std::sqrt(wanted.cells) / 1024 / std::sqrt(12.0) + 1e-3) * wanted.magnitude;
}

void expect_close(const std::vector<float>& got, const std::vector<Operation::Value>& wanted, bool ours) {
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], wanted[i].value, tolerance(wanted[i], ours)) << "value " << i;
    }
}

class Attention : public testing::TestWithParam<CpuLevel> {
  protected:
    /// Computes the operation and compares; `ours`: whether our kernel is made for it, at levels that have one.
    void expect_right(Operation& operation, bool ours = true) {
        ours = ours && GetParam().has_own_attention();
        const std::uint64_t before = own_kernels().attention.done;
        const auto got = operation.compute(backend);
        EXPECT_EQ(own_kernels().attention.done - before, ours ? 1 : 0) << "who computed";
        expect_close(got, operation.expected(), ours);
    }

    LevelBackend backend{GetParam()};
};

/// Row r belongs to sequence r; the cells of 7 sequences alternate.
bool own_cells(int row, int cell) {
    return cell % 7 == row % 7;
}

TEST_P(Attention, ComputesWhatEachRowSees) {
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32}) {
        for (const int head_size : {32, 48, 64, 80, 96, 128, 192, 256}) {
            SCOPED_TRACE(head_size);
            Operation operation({.head_size = head_size, .type = type}, 1, own_cells);
            expect_right(operation);
        }
    }
}

TEST_P(Attention, EveryNumberOfHeadsRowsCellsAndThreads) {
    for (const int threads : {1, 2, 3}) {
        for (const auto& [heads, kv_heads] : {std::pair{1, 1}, {14, 2}, {12, 4}, {16, 1}}) {
            for (const int rows : {1, 2, 7, 66}) {
                for (const int cells : {1, 31, 65}) {
                    SCOPED_TRACE(testing::Message() << threads << " threads, " << heads << "/" << kv_heads << " heads, "
                                                    << rows << " rows, " << cells << " cells");
                    Operation operation({.head_size = 32,
                                         .heads = heads,
                                         .kv_heads = kv_heads,
                                         .rows = rows,
                                         .cells = cells,
                                         .threads = threads},
                                        2, own_cells);
                    // Of one row ggml deals the cells out to the threads.
                    expect_right(operation, rows * kv_heads >= threads);
                }
            }
        }
    }
}

TEST_P(Attention, ARowThatSeesNothingIsZero) {
    Operation operation({}, 3, [](int row, int cell) { return row != 2 && cell < 50; });
    expect_right(operation);
}

TEST_P(Attention, DenseBatchesGoToGgmlAndAgree) {
    const auto causal = [](int row, int cell) { return cell <= 100 + row; };
    Operation operation({.rows = 64, .cells = 192, .threads = 2}, 4, causal);
    expect_right(operation, false);
}

/// A batch of sequences over one memory whose cells stand in no order, each row a window of 20 of its own.
TEST_P(Attention, SlidingWindows) {
    const auto window = [](int row, int cell) {
        const int position = cell * 37 % 400;  // of the cell's token in its sequence
        return cell % 3 == row % 3 && position <= 250 + row && position > 230 + row;
    };
    for (const int rows : {1, 9, 70}) {
        for (const int threads : {1, 2}) {
            Operation operation({.rows = rows, .cells = 400, .threads = threads}, 6, window);
            expect_right(operation);
        }
    }
}

TEST_P(Attention, OtherHeadSizesGoToGgmlAndAgree) {
    for (const int head_size : {40, 72, 512}) {
        SCOPED_TRACE(head_size);
        Operation operation({.head_size = head_size}, 7, own_cells);
        expect_right(operation, false);
    }
}

TEST_P(Attention, CanBeSwitchedOff) {
    Operation operation({}, 5, own_cells);
    own_kernels().attention.on = false;
    expect_right(operation, false);
    own_kernels().attention.on = true;
}

INSTANTIATE_TEST_SUITE_P(Levels, Attention, testing::ValuesIn(cpu_levels().begin(), cpu_levels().end()),
                         [](const auto& info) { return level_label(info.param); });

}  // namespace
}  // namespace sutazai::kernels
