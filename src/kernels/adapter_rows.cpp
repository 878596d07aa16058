#include "kernels/adapter_rows.h"

#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml.h>

#include <algorithm>
#include <array>
#include <cstring>

#ifdef __F16C__
#include <immintrin.h>
#endif

namespace sutazai::kernels {
namespace {

/// Eight numbers; on processors with shorter registers the compiler takes several.
using Eight = float __attribute__((vector_size(32)));
constexpr std::int64_t kLanes = 8;
/// Rows that share a read of the matrices.
constexpr int kRowsAtOnce = 4;

Eight load(const float* p) {
    Eight v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
Eight load(const ggml_fp16_t* p) {
#ifdef __F16C__
    return Eight(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
    Eight v;
    for (int i = 0; i < kLanes; ++i) v[i] = ggml_fp16_to_fp32(p[i]);
    return v;
#endif
}
float number(float value) {
    return value;
}
float number(ggml_fp16_t value) {
    return ggml_fp16_to_fp32(value);
}
void store(float* p, Eight v) {
    std::memcpy(p, &v, sizeof v);
}
Eight all(float value) {
    return Eight{} + value;
}
float sum(Eight v) {
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

/// A row of `a` times `Rows` rows of activations: one number each.
template <int Rows, typename T>
void dots(const T* a, const std::array<const float*, kRowsAtOnce>& x, std::int64_t n,
          std::array<float*, kRowsAtOnce> out) {
    std::array<Eight, Rows> sums{};
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        const Eight w = load(a + i);
        for (int r = 0; r < Rows; ++r) sums[r] += w * load(x[r] + i);
    }
    for (int r = 0; r < Rows; ++r) {
        float total = sum(sums[r]);
        for (std::int64_t k = i; k < n; ++k) total += number(a[k]) * x[r][k];
        *out[r] = total;
    }
}

/// Adds the rows of `b`, [rank][n], each times its number in `h`, to the numbers [begin, end) of `Rows` rows.
template <int Rows, typename T>
void add_rows(const T* b, std::int64_t n, int rank, float scale, const std::array<const float*, kRowsAtOnce>& h,
              const std::array<float*, kRowsAtOnce>& y, std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
        std::array<Eight, Rows> left{};
        std::array<Eight, Rows> right{};
        for (int k = 0; k < rank; ++k) {
            const Eight w0 = load(b + k * n + i);
            const Eight w1 = load(b + k * n + i + kLanes);
            for (int r = 0; r < Rows; ++r) {
                const Eight times = all(h[r][k]);
                left[r] += times * w0;
                right[r] += times * w1;
            }
        }
        for (int r = 0; r < Rows; ++r) {
            store(y[r] + i, load(y[r] + i) + scale * left[r]);
            store(y[r] + i + kLanes, load(y[r] + i + kLanes) + scale * right[r]);
        }
    }
    for (; i < end; ++i) {
        for (int r = 0; r < Rows; ++r) {
            float total = 0;
            for (int k = 0; k < rank; ++k) total += h[r][k] * number(b[k * n + i]);
            y[r][i] += scale * total;
        }
    }
}

/// f(std::integral_constant<int, rows>) for 1 to kRowsAtOnce rows.
template <typename F>
void with_rows(int rows, F f) {
    switch (rows) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        default: return f(std::integral_constant<int, kRowsAtOnce>());
    }
}

/// f of a pair's matrix in its type.
template <typename F>
void with_type(const AdapterPair& pair, const void* matrix, F f) {
    if (pair.is_f16) {
        f(static_cast<const ggml_fp16_t*>(matrix));
    } else {
        f(static_cast<const float*>(matrix));
    }
}

class Rows {
  public:
    Rows(const ggml_compute_params* params, const ggml_tensor* op, const AdapterStep& step, const AdapterPlace& place)
        : params_(*params), op_(*op), x_(*op->src[1]), step_(step), weight_(place.weight) {}

    /// Into each row: the products with the A of each adapter of its set, one behind the other.
    void go_in(const AdapterRun& run) const {
        int first = 0;
        for (const AdapterTerm& term : step_.sets[static_cast<std::size_t>(run.set)]) {
            const AdapterPair* pair = pair_of(term);
            if (pair == nullptr) continue;
            const std::int64_t n = x_.ne[0];
            for (int k = params_.ith; k < pair->rank; k += params_.nth) {
                for_groups(run, [&](int row, auto rows) {
                    std::array<const float*, kRowsAtOnce> x{};
                    std::array<float*, kRowsAtOnce> out{};
                    for (int r = 0; r < rows; ++r) {
                        x[r] = in(row + r);
                        out[r] = to(row + r) + first + k;
                    }
                    with_type(*pair, pair->a, [&](const auto* a) { dots<rows()>(a + k * n, x, n, out); });
                });
            }
            first += pair->rank;
        }
    }

    /// This thread's share of what a run's rows get.
    void go_out(const AdapterRun& run) const {
        const std::int64_t n = op_.ne[0];
        constexpr std::int64_t kStep = 2 * kLanes;
        const std::int64_t steps = (n + kStep - 1) / kStep;
        const std::int64_t begin = std::min(n, steps * params_.ith / params_.nth * kStep);
        const std::int64_t end = std::min(n, steps * (params_.ith + 1) / params_.nth * kStep);
        for (int row = run.begin; row < run.end; ++row) std::fill(to(row) + begin, to(row) + end, 0.0F);
        if (run.set < 0) return;
        int first = 0;
        for (const AdapterTerm& term : step_.sets[static_cast<std::size_t>(run.set)]) {
            const AdapterPair* pair = pair_of(term);
            if (pair == nullptr) continue;
            for_groups(run, [&](int row, auto rows) {
                std::array<const float*, kRowsAtOnce> h{};
                std::array<float*, kRowsAtOnce> y{};
                for (int r = 0; r < rows; ++r) {
                    h[r] = in(row + r) + first;
                    y[r] = to(row + r);
                }
                with_type(*pair, pair->b, [&](const auto* b) {
                    add_rows<rows()>(b, n, pair->rank, pair->scale * term.scale, h, y, begin, end);
                });
            });
            first += pair->rank;
        }
    }

  private:
    [[nodiscard]] const AdapterPair* pair_of(const AdapterTerm& term) const {
        return weight_ < term.pairs.size() && term.pairs[weight_].rank > 0 ? &term.pairs[weight_] : nullptr;
    }
    [[nodiscard]] const float* in(int row) const {
        return reinterpret_cast<const float*>(static_cast<const char*>(x_.data) +
                                              static_cast<std::size_t>(row) * x_.nb[1]);
    }
    [[nodiscard]] float* to(int row) const {
        return reinterpret_cast<float*>(static_cast<char*>(op_.data) + static_cast<std::size_t>(row) * op_.nb[1]);
    }
    template <typename F>
    static void for_groups(const AdapterRun& run, F f) {
        for (int row = run.begin; row < run.end; row += kRowsAtOnce) {
            with_rows(std::min(kRowsAtOnce, run.end - row), [&](auto rows) { f(row, rows); });
        }
    }

    const ggml_compute_params& params_;
    const ggml_tensor& op_;
    const ggml_tensor& x_;
    const AdapterStep& step_;
    std::size_t weight_;
};

}  // namespace

bool adapt_rows(const ggml_compute_params* params, const ggml_tensor* op) {
    const AdapterStep* step = adapter_step().load(std::memory_order_relaxed);
    if (step == nullptr || op->src[0]->buffer != step->places) return false;
    const ggml_tensor& x = *op->src[1];
    const auto has = [&](const std::vector<AdapterRun>& runs) { return !runs.empty() && runs.back().end == x.ne[1]; };
    const bool flat = x.type == GGML_TYPE_F32 && x.nb[0] == sizeof(float) && x.ne[2] == 1 && x.ne[3] == 1;
    if (!flat || (x.ne[1] != 0 && !has(step->tokens) && !has(step->outputs))) {
        step->is_broken.store(true, std::memory_order_relaxed);
        return true;
    }
    const auto& place = *static_cast<const AdapterPlace*>(op->src[0]->extra);
    const Rows rows(params, op, *step, place);
    if (x.ne[1] == 0) return true;
    for (const AdapterRun& run : has(step->tokens) ? step->tokens : step->outputs) {
        if (place.is_b) {
            rows.go_out(run);
        } else if (run.set >= 0) {
            rows.go_in(run);
        }
    }
    return true;
}

}  // namespace sutazai::kernels
