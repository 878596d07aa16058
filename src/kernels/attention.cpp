#include "kernels/attention.h"

#include <ggml-cpu-impl.h>
#include <ggml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/own_kernels.h"

#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#include <immintrin.h>
#define SUTAZAI_ATTENTION 1
#endif

namespace sutazai::kernels {
namespace {

#ifdef SUTAZAI_ATTENTION

// Products of head sizes, heads and cells of a block: far below 2^31.
// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result, bugprone-misplaced-widening-cast)

// --- vectors of floats, as wide as the processor has them

#if defined(__AVX512F__) && defined(__AVX512BW__)
using Vec = __m512;
constexpr int kLanes = 16;
inline Vec zero() {
    return _mm512_setzero_ps();
}
inline Vec splat(float x) {
    return _mm512_set1_ps(x);
}
inline Vec load(const float* p) {
    return _mm512_loadu_ps(p);
}
inline Vec load(const ggml_fp16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void store(float* p, Vec v) {
    _mm512_storeu_ps(p, v);
}
inline Vec fma(Vec a, Vec b, Vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline Vec mul(Vec a, Vec b) {
    return _mm512_mul_ps(a, b);
}
inline Vec add(Vec a, Vec b) {
    return _mm512_add_ps(a, b);
}
inline Vec sub(Vec a, Vec b) {
    return _mm512_sub_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
    return _mm512_max_ps(a, b);
}
inline float sum(Vec v) {
    return _mm512_reduce_add_ps(v);
}
inline float largest(Vec v) {
    return _mm512_reduce_max_ps(v);
}
/// x * 2^n for whole n.
inline Vec scale_by_power(Vec x, Vec n) {
    return _mm512_scalef_ps(x, n);
}
inline Vec round_down(Vec x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline __m256 narrow(Vec v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
constexpr int kMaskLanes = 32;
/// Bit i: mask[i] is not minus infinity.
inline std::uint64_t seen(const ggml_fp16_t* mask) {
    const __m512i hidden = _mm512_set1_epi16(static_cast<short>(0xFC00));
    return _mm512_cmpneq_epi16_mask(_mm512_loadu_si512(mask), hidden);
}
#else
using Vec = __m256;
constexpr int kLanes = 8;
inline Vec zero() {
    return _mm256_setzero_ps();
}
inline Vec splat(float x) {
    return _mm256_set1_ps(x);
}
inline Vec load(const float* p) {
    return _mm256_loadu_ps(p);
}
inline Vec load(const ggml_fp16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void store(float* p, Vec v) {
    _mm256_storeu_ps(p, v);
}
inline Vec fma(Vec a, Vec b, Vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline Vec mul(Vec a, Vec b) {
    return _mm256_mul_ps(a, b);
}
inline Vec add(Vec a, Vec b) {
    return _mm256_add_ps(a, b);
}
inline Vec sub(Vec a, Vec b) {
    return _mm256_sub_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
    return _mm256_max_ps(a, b);
}
inline __m256 narrow(Vec v) {
    return v;
}
inline float sum(Vec v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float largest(Vec v) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
inline Vec scale_by_power(Vec x, Vec n) {
    const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(bits));
}
inline Vec round_down(Vec x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
constexpr int kMaskLanes = 32;
inline std::uint64_t seen(const ggml_fp16_t* mask) {
    const __m256i hidden = _mm256_set1_epi16(static_cast<short>(0xFC00));
    const auto* p = reinterpret_cast<const __m256i*>(mask);
    const __m256i low = _mm256_cmpeq_epi16(_mm256_loadu_si256(p), hidden);
    const __m256i high = _mm256_cmpeq_epi16(_mm256_loadu_si256(p + 1), hidden);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
    return static_cast<std::uint32_t>(~_mm256_movemask_epi8(packed));
}
#endif

/// The four sums, in order.
inline __m128 sums(Vec a, Vec b, Vec c, Vec d) {
    const __m256 ab = _mm256_hadd_ps(narrow(a), narrow(b));
    const __m256 cd = _mm256_hadd_ps(narrow(c), narrow(d));
    const __m256 all = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/// e^x for x <= 0, relative error below 3e-7: 2^n times a polynomial (Cephes' expf).
inline Vec exp_of(Vec x) {
    x = max(x, splat(-87.0F));
    const Vec n = round_down(mul(x, splat(1.44269504F)));
    Vec r = fma(n, splat(-0.693359375F), x);
    r = fma(n, splat(2.12194440e-4F), r);
    Vec p = splat(1.9875691500e-4F);
    for (const float c : {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
        p = fma(p, r, splat(c));
    }
    p = add(fma(mul(p, r), r, r), splat(1.0F));
    return scale_by_power(p, n);
}

constexpr int kBlock = 32;      // cells that are handled together
constexpr int kMostHeads = 16;  // query heads to one KV head
constexpr int kMostHeadSize = 256;

/// What one thread works with; grows to what it needs and stays.
struct Scratch {
    std::vector<std::int32_t> cells;
    std::vector<float> bias;  ///< the mask's value of each cell
    alignas(64) std::array<float, kMostHeads * kMostHeadSize> queries;
    alignas(64) std::array<float, kMostHeads * kMostHeadSize> outputs;
    alignas(64) std::array<float, kMostHeads * kBlock> scores;
    alignas(64) std::array<float, kBlock * kMostHeadSize> rows;
    std::array<float, kMostHeads> top;    ///< largest score so far
    std::array<float, kMostHeads> total;  ///< sum of exp(score - top)
};

/// The cells that a row sees.
void list_cells(const ggml_fp16_t* mask, std::int64_t n_cells, Scratch& s) {
    s.cells.clear();
    s.bias.clear();
    std::int64_t begin = 0;
    for (; begin + kMaskLanes <= n_cells; begin += kMaskLanes) {
        for (std::uint64_t bits = seen(mask + begin); bits != 0; bits &= bits - 1) {
            const std::int64_t cell = begin + __builtin_ctzll(bits);
            s.cells.push_back(static_cast<std::int32_t>(cell));
            s.bias.push_back(mask[cell] == 0 ? 0.0F : ggml_fp16_to_fp32(mask[cell]));
        }
    }
    for (; begin < n_cells; ++begin) {
        if (mask[begin] == 0xFC00) continue;
        s.cells.push_back(static_cast<std::int32_t>(begin));
        s.bias.push_back(ggml_fp16_to_fp32(mask[begin]));
    }
}

/// Copies the rows of up to kBlock cells side by side, as floats; what is missing to kBlock becomes zero.
template <int kVecs, typename T>
void gather(const char* base, std::size_t stride, const std::int32_t* cells, int n, float* rows) {
    for (int j = 0; j < n; ++j) {
        const T* row = reinterpret_cast<const T*>(base + static_cast<std::size_t>(cells[j]) * stride);
        for (int v = 0; v < kVecs; ++v) store(rows + (j * kVecs + v) * kLanes, load(row + v * kLanes));
    }
    for (int j = n; j < kBlock; ++j) {
        for (int v = 0; v < kVecs; ++v) store(rows + (j * kVecs + v) * kLanes, zero());
    }
}

template <int kVecs>
void score(const float* rows, const float* query, int n, float* scores) {
    Vec q[kVecs];
    for (int v = 0; v < kVecs; ++v) q[v] = load(query + v * kLanes);
    for (int j = 0; j < n; j += 4) {
        Vec sum_of[4];
        for (int i = 0; i < 4; ++i) {
            const float* row = rows + (j + i) * kVecs * kLanes;
            Vec dot = mul(q[0], load(row));
            for (int v = 1; v < kVecs; ++v) dot = fma(q[v], load(row + v * kLanes), dot);
            sum_of[i] = dot;
        }
        _mm_storeu_ps(scores + j, sums(sum_of[0], sum_of[1], sum_of[2], sum_of[3]));
    }
}

template <int kVecs>
void accumulate(const float* rows, const float* weights, int n, float factor, float* output) {
    Vec out[kVecs];
    for (int v = 0; v < kVecs; ++v) out[v] = mul(load(output + v * kLanes), splat(factor));
    for (int j = 0; j < n; ++j) {
        const Vec weight = splat(weights[j]);
        for (int v = 0; v < kVecs; ++v) out[v] = fma(weight, load(rows + (j * kVecs + v) * kLanes), out[v]);
    }
    for (int v = 0; v < kVecs; ++v) store(output + v * kLanes, out[v]);
}

/// One row of the batch and one KV head with its query heads: `queries` [n_heads][head size], scaled; `outputs`
/// likewise.
template <int kVecs, typename T>
void attend(const char* k, std::size_t k_stride, const char* v, std::size_t v_stride, int n_heads, Scratch& s) {
    constexpr int kSize = kVecs * kLanes;
    std::fill_n(s.outputs.begin(), n_heads * kSize, 0.0F);
    s.top.fill(-INFINITY);
    s.total.fill(0.0F);
    std::array<float, kMostHeads> factor;
    const int n_cells = static_cast<int>(s.cells.size());
    for (int begin = 0; begin < n_cells; begin += kBlock) {
        const int n = std::min(kBlock, n_cells - begin);
        gather<kVecs, T>(k, k_stride, s.cells.data() + begin, n, s.rows.data());
        for (int h = 0; h < n_heads; ++h) {
            float* scores = s.scores.data() + h * kBlock;
            score<kVecs>(s.rows.data(), s.queries.data() + h * kSize, n, scores);
            for (int j = 0; j < n; ++j) scores[j] += s.bias[static_cast<std::size_t>(begin + j)];
            for (int j = n; j < kBlock; ++j) scores[j] = -INFINITY;
            Vec block_top = load(scores);
            for (int j = kLanes; j < kBlock; j += kLanes) block_top = max(block_top, load(scores + j));
            const float before = s.top[h];
            s.top[h] = std::max(before, largest(block_top));
            factor[h] = before == s.top[h] ? 1.0F : std::exp(before - s.top[h]);
            Vec sum_of = zero();
            const Vec top = splat(s.top[h]);
            for (int j = 0; j < kBlock; j += kLanes) {
                const Vec weight = exp_of(sub(load(scores + j), top));
                store(scores + j, weight);
                sum_of = add(sum_of, weight);
            }
            s.total[h] = s.total[h] * factor[h] + sum(sum_of);
        }
        gather<kVecs, T>(v, v_stride, s.cells.data() + begin, n, s.rows.data());
        for (int h = 0; h < n_heads; ++h) {
            accumulate<kVecs>(s.rows.data(), s.scores.data() + h * kBlock, n, factor[h], s.outputs.data() + h * kSize);
        }
    }
}

using Attend = void (*)(const char*, std::size_t, const char*, std::size_t, int, Scratch&);

template <typename T>
Attend attend_for(std::int64_t head_size) {
    switch (head_size) {
        case 32: return attend<32 / kLanes, T>;
        case 48: return attend<48 / kLanes, T>;
        case 64: return attend<64 / kLanes, T>;
        case 80: return attend<80 / kLanes, T>;
        case 96: return attend<96 / kLanes, T>;
        case 128: return attend<128 / kLanes, T>;
        case 192: return attend<192 / kLanes, T>;
        case 256: return attend<256 / kLanes, T>;
        default: return nullptr;
    }
}

/// Share of the mask that rows see, from a few of them.
double density(const ggml_tensor* mask, std::int64_t n_rows, std::int64_t n_cells) {
    constexpr std::int64_t kSamples = 16;
    const std::int64_t step = std::max<std::int64_t>(1, n_rows / kSamples);
    std::int64_t visible = 0;
    std::int64_t looked_at = 0;
    for (std::int64_t row = 0; row < n_rows; row += step) {
        const auto* p = reinterpret_cast<const ggml_fp16_t*>(static_cast<const char*>(mask->data) +
                                                             static_cast<std::size_t>(row) * mask->nb[1]);
        for (std::int64_t i = 0; i + kMaskLanes <= n_cells; i += kMaskLanes)
            visible += __builtin_popcountll(seen(p + i));
        looked_at += n_cells;
    }
    return static_cast<double>(visible) / static_cast<double>(std::max<std::int64_t>(1, looked_at));
}

/// The kernel for this operation; null when ggml's is to do it.
Attend choose(const ggml_compute_params* params, const ggml_tensor* dst) {
    const ggml_tensor* q = dst->src[0];
    const ggml_tensor* k = dst->src[1];
    const ggml_tensor* v = dst->src[2];
    const ggml_tensor* mask = dst->src[3];
    float max_bias = 0;
    float softcap = 0;
    std::memcpy(&max_bias, reinterpret_cast<const float*>(dst->op_params) + 1, sizeof max_bias);
    std::memcpy(&softcap, reinterpret_cast<const float*>(dst->op_params) + 2, sizeof softcap);
    if (!own_kernels().attention.is_on() || params->use_ref || max_bias != 0 || softcap != 0) return nullptr;
    if (mask == nullptr || mask->type != GGML_TYPE_F16 || mask->ne[2] != 1 || dst->src[4] != nullptr) return nullptr;
    if (q->type != GGML_TYPE_F32 || k->type != v->type || k->ne[0] != v->ne[0] || q->nb[0] != sizeof(float)) {
        return nullptr;
    }
    if (k->ne[3] != q->ne[3] || k->ne[2] != v->ne[2] || q->ne[2] / k->ne[2] > kMostHeads) return nullptr;
    // Prefill: ggml's tiles take about a third as long for a pair of row and cell, but take all cells.
    constexpr std::int64_t kTile = 64;
    constexpr double kSparse = 0.33;
    if (q->ne[1] >= kTile && density(mask, q->ne[1], k->ne[1]) > kSparse) return nullptr;
    // One row and more threads than KV heads: ggml divides the cells among the threads.
    if (q->ne[1] * k->ne[2] * q->ne[3] < params->nth) return nullptr;
    switch (k->type) {
        case GGML_TYPE_F16: return attend_for<ggml_fp16_t>(k->ne[0]);
        case GGML_TYPE_F32: return attend_for<float>(k->ne[0]);
        default: return nullptr;
    }
}

void compute(const ggml_compute_params* params, ggml_tensor* dst, Attend attend_row) {
    const ggml_tensor* q = dst->src[0];
    const ggml_tensor* k = dst->src[1];
    const ggml_tensor* v = dst->src[2];
    const ggml_tensor* mask = dst->src[3];
    const std::int64_t head_size = q->ne[0];
    const std::int64_t n_rows = q->ne[1];
    const std::int64_t n_kv_heads = k->ne[2];
    const auto n_heads = static_cast<int>(q->ne[2] / n_kv_heads);  // query heads to each KV head
    float scale = 1;
    std::memcpy(&scale, dst->op_params, sizeof scale);
    thread_local Scratch s;

    // Rows in turn, so that a few long ones are spread; when there are fewer rows than threads, heads in turn.
    const std::int64_t n_items = n_rows * q->ne[3];
    const bool by_head = n_items < params->nth;
    for (std::int64_t item = 0; item < n_items; ++item) {
        if (!by_head && item % params->nth != params->ith) continue;
        const std::int64_t row = item % n_rows;
        const std::int64_t stream = item / n_rows;
        const char* mask_row = static_cast<const char*>(mask->data) + static_cast<std::size_t>(row) * mask->nb[1] +
                               static_cast<std::size_t>(stream % mask->ne[3]) * mask->nb[3];
        list_cells(reinterpret_cast<const ggml_fp16_t*>(mask_row), k->ne[1], s);
        for (std::int64_t kv_head = 0; kv_head < n_kv_heads; ++kv_head) {
            if (by_head && (item * n_kv_heads + kv_head) % params->nth != params->ith) continue;
            for (int h = 0; h < n_heads; ++h) {
                const auto* query = reinterpret_cast<const float*>(
                    static_cast<const char*>(q->data) + static_cast<std::size_t>(row) * q->nb[1] +
                    static_cast<std::size_t>(kv_head * n_heads + h) * q->nb[2] +
                    static_cast<std::size_t>(stream) * q->nb[3]);
                for (std::int64_t i = 0; i < head_size; ++i) s.queries[h * head_size + i] = query[i] * scale;
            }
            attend_row(static_cast<const char*>(k->data) + static_cast<std::size_t>(kv_head) * k->nb[2] +
                           static_cast<std::size_t>(stream) * k->nb[3],
                       k->nb[1],
                       static_cast<const char*>(v->data) + static_cast<std::size_t>(kv_head) * v->nb[2] +
                           static_cast<std::size_t>(stream) * v->nb[3],
                       v->nb[1], n_heads, s);
            for (int h = 0; h < n_heads; ++h) {
                // dst is [head size, heads, rows, streams].
                auto* out = reinterpret_cast<float*>(
                    static_cast<char*>(dst->data) +
                    static_cast<std::size_t>((stream * n_rows + row) * q->ne[2] + kv_head * n_heads + h) * dst->nb[1]);
                const float factor = s.total[h] > 0 ? 1.0F / s.total[h] : 0.0F;
                for (std::int64_t i = 0; i < head_size; ++i) out[i] = s.outputs[h * head_size + i] * factor;
            }
        }
    }
}

// NOLINTEND(bugprone-implicit-widening-of-multiplication-result, bugprone-misplaced-widening-cast)
#endif  // SUTAZAI_ATTENTION

}  // namespace

bool attend(const ggml_compute_params* params, ggml_tensor* op) {
#ifdef SUTAZAI_ATTENTION
    const auto attend_row = choose(params, op);
    if (attend_row == nullptr) return false;
    if (params->ith == 0) own_kernels().attention.count();
    compute(params, op, attend_row);
    return true;
#else
    (void)params;
    (void)op;
    return false;
#endif
}

bool has_attention() {
#ifdef SUTAZAI_ATTENTION
    return true;
#else
    return false;
#endif
}

}  // namespace sutazai::kernels
