#pragma once

/// The AVX-512 VNNI kernels of matmul.cpp: quantisation of activations, and the product of a tile of rows with a panel
/// of 16 columns. Included there only, with ggml's block types.
///
/// Activations. Up to 8 rows make a tile; a tile holds, for each block of 32 values, one after another:
///     int8_t  quants[rows][32]    value = quant x scale
///     float   scales[rows]
///     int32_t starts[rows]        where a column's integer sum begins: -offset x the sum of the block's quants
/// so that a tile is read from front to back. A block of a row takes kBlockBytes.
///
/// Both kernels sum a column over its blocks in the same order for any number of rows.

#include <ggml.h>
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sutazai::kernels::kernels {

constexpr int kBlock = 32;    // weights with one scale
constexpr int kTileRows = 8;  // rows that share an unpacked weight
constexpr int kPanel = 16;    // columns computed together
constexpr int kBlockBytes = kBlock + sizeof(float) + sizeof(std::int32_t);

/// One block of 8 columns as ggml's repacking leaves it: 64 bytes with 8 bytes of each column in turn, whose low
/// nibbles are weights 0..7 and whose high nibbles are weights 16..23, and 64 bytes more with weights 8..15 and 24..31.
/// A nibble is a weight in two's complement.
struct Q4Block8 {
    std::array<ggml_fp16_t, 8> scales;
    std::array<std::uint8_t, 128> quants;
};
static_assert(sizeof(Q4Block8) == 144);

/// One block of one column, as in the file.
struct Q8Block {
    ggml_fp16_t scale;
    std::array<std::int8_t, kBlock> quants;
};
static_assert(sizeof(Q8Block) == 34);

/// One block of a panel of 16 Q8_0 columns: dwords[i] has weights 4i..4i+3 of each column, unsigned.
struct alignas(64) Q8Panel {
    std::array<__m512i, 8> dwords;
    __m512 scales;
};

/// Quantises one row of `n` values into row `row` of a tile that has `rows` rows. `offset`: what was added to the
/// weights to make them unsigned. `lanes`: over how many lanes of the kernel a column's sum begins.
inline void quantise_row(const float* x, std::int64_t n, std::byte* tile, int row, int rows, int offset, int lanes) {
    for (std::int64_t block = 0; block < n / kBlock; ++block) {
        const __m512 low = _mm512_loadu_ps(x + block * kBlock);
        const __m512 high = _mm512_loadu_ps(x + block * kBlock + 16);
        const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
        const float scale = largest / 127.0F;
        const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127.0F / largest : 0.0F);
        const __m512i low_i = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        const __m512i high_i = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        std::byte* at = tile + block * rows * kBlockBytes;
        auto* quants = reinterpret_cast<__m128i*>(at + static_cast<std::ptrdiff_t>(row) * kBlock);
        _mm_storeu_si128(quants, _mm512_cvtepi32_epi8(low_i));
        _mm_storeu_si128(quants + 1, _mm512_cvtepi32_epi8(high_i));
        const std::int32_t start = -offset / lanes * _mm512_reduce_add_epi32(_mm512_add_epi32(low_i, high_i));
        at += static_cast<std::ptrdiff_t>(rows) * kBlock;
        std::memcpy(at + row * sizeof scale, &scale, sizeof scale);
        std::memcpy(at + rows * sizeof scale + row * sizeof start, &start, sizeof start);
    }
}

/// What a kernel reads of one row in one block of a tile.
template <int Rows>
struct TileBlock {
    const std::byte* at;
    [[nodiscard]] const std::byte* quants(int row) const { return at + static_cast<std::ptrdiff_t>(row) * kBlock; }
    [[nodiscard]] __m512 scale(int row) const {
        return _mm512_set1_ps(reinterpret_cast<const float*>(at + Rows * kBlock)[row]);
    }
    [[nodiscard]] __m512i start(int row) const {
        return _mm512_set1_epi32(
            reinterpret_cast<const std::int32_t*>(at + Rows * (kBlock + static_cast<int>(sizeof(float))))[row]);
    }
};

/// Fetches what will be wanted in the next panel: the processor's own prefetchers lose the thread where a panel's
/// streams end.
/// `Cache`: 3 for the first, 2 for the second.
template <int Cache>
inline void read_ahead(const void* p, int bytes) {
    for (int line = 0; line < bytes; line += 64) __builtin_prefetch(static_cast<const char*>(p) + line, 0, Cache);
}

/// 8 bytes of activations in all lanes.
inline __m512i eight(const std::byte* p) {
    std::int64_t bytes = 0;
    std::memcpy(&bytes, p, sizeof bytes);
    return _mm512_set1_epi64(bytes);
}

inline __m512i four(const std::byte* p) {
    std::int32_t bytes = 0;
    std::memcpy(&bytes, p, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

/// 8 columns of one block: weights made unsigned bytes, scales doubled as the lanes are. Lane 2c and 2c+1 belong to
/// column c.
struct Q4Unpacked {
    __m512i w0, w8, w16, w24;  // weights from 0, 8, 16 and 24 on
    __m512 scales;

    explicit Q4Unpacked(const Q4Block8& block) {
        const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x88));
        const __m512i nibble = _mm512_set1_epi8(0x0F);
        const __m512i first = _mm512_xor_si512(_mm512_loadu_si512(block.quants.data()), flip);
        const __m512i second = _mm512_xor_si512(_mm512_loadu_si512(block.quants.data() + 64), flip);
        w0 = _mm512_and_si512(first, nibble);
        w16 = _mm512_and_si512(_mm512_srli_epi16(first, 4), nibble);
        w8 = _mm512_and_si512(second, nibble);
        w24 = _mm512_and_si512(_mm512_srli_epi16(second, 4), nibble);
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scales.data()));
        scales =
            _mm512_cvtph_ps(_mm256_set_m128i(_mm_unpackhi_epi16(halves, halves), _mm_unpacklo_epi16(halves, halves)));
    }
};

/// A tile with 16 columns of Q4_0: `left` and `right` are the blocks of 8 columns each. Writes the columns of `mask` to
/// out + row x stride.
template <int Rows>
inline void q4_tile(const Q4Block8* left, const Q4Block8* right, std::int64_t n_blocks, const std::byte* tile,
                    float* out, std::int64_t stride, __mmask16 mask) {
    std::array<__m512, Rows> left_sums;
    std::array<__m512, Rows> right_sums;
    for (int r = 0; r < Rows; ++r) left_sums[r] = right_sums[r] = _mm512_setzero_ps();
    for (std::int64_t b = 0; b < n_blocks; ++b) {
        read_ahead<3>(left + 2 * n_blocks + 2 * b, 2 * sizeof(Q4Block8));
        const Q4Unpacked l(left[b]);
        const Q4Unpacked h(right[b]);
        const TileBlock<Rows> block{tile + b * Rows * kBlockBytes};
        for (int r = 0; r < Rows; ++r) {
            const __m512i start = block.start(r);
            const __m512i a0 = eight(block.quants(r));
            const __m512i a8 = eight(block.quants(r) + 8);
            const __m512i a16 = eight(block.quants(r) + 16);
            const __m512i a24 = eight(block.quants(r) + 24);
            __m512i x = _mm512_dpbusd_epi32(start, l.w0, a0);
            __m512i y = _mm512_dpbusd_epi32(start, h.w0, a0);
            x = _mm512_dpbusd_epi32(x, l.w8, a8);
            y = _mm512_dpbusd_epi32(y, h.w8, a8);
            x = _mm512_dpbusd_epi32(x, l.w16, a16);
            y = _mm512_dpbusd_epi32(y, h.w16, a16);
            x = _mm512_dpbusd_epi32(x, l.w24, a24);
            y = _mm512_dpbusd_epi32(y, h.w24, a24);
            const __m512 scale = block.scale(r);
            left_sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(x), _mm512_mul_ps(l.scales, scale), left_sums[r]);
            right_sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(y), _mm512_mul_ps(h.scales, scale), right_sums[r]);
        }
    }
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (int r = 0; r < Rows; ++r) {
        const __m512 sums = _mm512_add_ps(_mm512_permutex2var_ps(left_sums[r], even, right_sums[r]),
                                          _mm512_permutex2var_ps(left_sums[r], odd, right_sums[r]));
        _mm512_mask_storeu_ps(out + r * stride, mask, sums);
    }
}

/// The blocks of 16 columns of plain Q8_0 weights, which stand `column` blocks apart, turned into panels. The columns
/// past `n_columns` repeat the last one.
inline void pack_q8_panel(const Q8Block* weights, std::int64_t column, int n_columns, std::int64_t n_blocks,
                          Q8Panel* panel) {
    std::array<const Q8Block*, kPanel> columns;
    for (int c = 0; c < kPanel; ++c) columns[c] = weights + column * (c < n_columns ? c : n_columns - 1);
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    const Q8Block* next = weights + column * n_columns;
    for (std::int64_t b = 0; b < n_blocks; ++b, ++panel) {
        read_ahead<2>(next + b * kPanel, kPanel * sizeof(Q8Block));
        // An 8 x 8 transposition of 32-bit words in each half: columns 0..7 in the low one, 8..15 in the high one.
        std::array<__m512i, 8> t;
        std::array<__m512i, 8> u;
        alignas(32) std::array<ggml_fp16_t, kPanel> scales;
        for (int c = 0; c < 8; ++c) {
            t[c] = _mm512_inserti64x4(
                _mm512_castsi256_si512(
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns[c][b].quants.data()))),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns[c + 8][b].quants.data())), 1);
            scales[c] = columns[c][b].scale;
            scales[c + 8] = columns[c + 8][b].scale;
        }
        for (int c = 0; c < 8; c += 2) {
            u[c] = _mm512_unpacklo_epi32(t[c], t[c + 1]);
            u[c + 1] = _mm512_unpackhi_epi32(t[c], t[c + 1]);
        }
        for (int c = 0; c < 8; c += 4) {
            t[c] = _mm512_unpacklo_epi64(u[c], u[c + 2]);
            t[c + 1] = _mm512_unpackhi_epi64(u[c], u[c + 2]);
            t[c + 2] = _mm512_unpacklo_epi64(u[c + 1], u[c + 3]);
            t[c + 3] = _mm512_unpackhi_epi64(u[c + 1], u[c + 3]);
        }
        // t[i] and t[i + 4] have word i of columns 0..3 and 4..7 in their first 128 bits of each half, word i + 4 in
        // the second.
        const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
        const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
        for (int i = 0; i < 4; ++i) {
            // In each half: words of columns 0..3, then 4..7. The halves are put right by the index.
            panel->dwords[i] = _mm512_xor_si512(_mm512_permutex2var_epi64(t[i], low, t[i + 4]), flip);
            panel->dwords[i + 4] = _mm512_xor_si512(_mm512_permutex2var_epi64(t[i], high, t[i + 4]), flip);
        }
        panel->scales = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(scales.data())));
    }
}

/// A tile with a panel of 16 columns of Q8_0.
template <int Rows>
inline void q8_tile(const Q8Panel* panel, std::int64_t n_blocks, const std::byte* tile, float* out, std::int64_t stride,
                    __mmask16 mask) {
    std::array<__m512, Rows> sums;
    for (int r = 0; r < Rows; ++r) sums[r] = _mm512_setzero_ps();
    for (std::int64_t b = 0; b < n_blocks; ++b) {
        const Q8Panel& p = panel[b];
        const TileBlock<Rows> block{tile + b * Rows * kBlockBytes};
        for (int r = 0; r < Rows; ++r) {
            // Two chains: a dot product of VNNI takes four cycles to come out.
            __m512i x = _mm512_dpbusd_epi32(block.start(r), p.dwords[0], four(block.quants(r)));
            __m512i y = _mm512_dpbusd_epi32(_mm512_setzero_si512(), p.dwords[1], four(block.quants(r) + 4));
            x = _mm512_dpbusd_epi32(x, p.dwords[2], four(block.quants(r) + 8));
            y = _mm512_dpbusd_epi32(y, p.dwords[3], four(block.quants(r) + 12));
            x = _mm512_dpbusd_epi32(x, p.dwords[4], four(block.quants(r) + 16));
            y = _mm512_dpbusd_epi32(y, p.dwords[5], four(block.quants(r) + 20));
            x = _mm512_dpbusd_epi32(x, p.dwords[6], four(block.quants(r) + 24));
            y = _mm512_dpbusd_epi32(y, p.dwords[7], four(block.quants(r) + 28));
            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(x, y)),
                                      _mm512_mul_ps(p.scales, block.scale(r)), sums[r]);
        }
    }
    for (int r = 0; r < Rows; ++r) _mm512_mask_storeu_ps(out + r * stride, mask, sums[r]);
}

}  // namespace sutazai::kernels::kernels
