#include "kernels/matmul.h"

#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml.h>
#include <repack.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/own_kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && \
    defined(__AVX512VNNI__) && defined(__F16C__)
#include "kernels/matmul_kernels.h"
#define SUTAZAI_MATMUL 1
#endif

namespace sutazai::kernels {
namespace {

#ifdef SUTAZAI_MATMUL
using namespace kernels;

enum class Weights : std::uint8_t { kOther, kQ4Repacked, kQ8Plain };

/// Which kernel is made for this node. The same answer when the graph is planned and when it is computed.
Weights kind_of(const ggml_tensor* op) {
    if (op->op != GGML_OP_MUL_MAT || !own_kernels().products.is_on()) return Weights::kOther;
    const ggml_tensor* w = op->src[0];
    const ggml_tensor* x = op->src[1];
    if (w->type != GGML_TYPE_Q4_0 && w->type != GGML_TYPE_Q8_0) return Weights::kOther;
    if (w->ne[2] != 1 || w->ne[3] != 1 || x->ne[2] != 1 || x->ne[3] != 1) return Weights::kOther;
    if (x->type != GGML_TYPE_F32 || x->nb[0] != sizeof(float) || op->nb[0] != sizeof(float)) return Weights::kOther;
    if (w->view_src != nullptr || w->buffer == nullptr) return Weights::kOther;
    const bool repacked = w->buffer->buft == ggml_backend_cpu_repack_buffer_type();
    if (w->type == GGML_TYPE_Q4_0) {
        return repacked && w->extra != nullptr && w->ne[1] % 8 == 0 ? Weights::kQ4Repacked : Weights::kOther;
    }
    return !repacked && w->extra == nullptr && w->nb[1] == ggml_row_size(w->type, w->ne[0]) ? Weights::kQ8Plain
                                                                                            : Weights::kOther;
}

std::size_t activation_bytes(const ggml_tensor* x) {
    return static_cast<std::size_t>(x->ne[0] / kBlock * x->ne[1] * kBlockBytes);
}

/// f(std::integral_constant<int, rows>) for a number of rows that only the last tile's may differ from kTileRows.
template <typename F>
void with_rows(std::int64_t rows, F f) {
    switch (rows) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        case 4: return f(std::integral_constant<int, 4>());
        case 5: return f(std::integral_constant<int, 5>());
        case 6: return f(std::integral_constant<int, 6>());
        case 7: return f(std::integral_constant<int, 7>());
        default: return f(std::integral_constant<int, kTileRows>());
    }
}

/// One product: out[row][column] = sum of weights[column] x rows[row].
class Product {
  public:
    Product(const ggml_compute_params* params, const ggml_tensor* op, Weights kind)
        : params_(params),
          w_(op->src[0]),
          x_(op->src[1]),
          kind_(kind),
          n_blocks_(w_->ne[0] / kBlock),
          n_columns_(w_->ne[1]),
          n_rows_(x_->ne[1]),
          out_(static_cast<float*>(op->data)),
          stride_(static_cast<std::int64_t>(op->nb[1] / sizeof(float))),
          tiles_(static_cast<std::byte*>(params->wdata)) {}

    /// Called by all threads of the pool with their own params.
    void compute() {
        for (std::int64_t row = params_->ith; row < n_rows_; row += params_->nth) {
            const auto* x = reinterpret_cast<const float*>(static_cast<const char*>(x_->data) +
                                                           static_cast<std::size_t>(row) * x_->nb[1]);
            const std::int64_t tile = row / kTileRows;
            const bool q4 = kind_ == Weights::kQ4Repacked;
            quantise_row(x, w_->ne[0], tile_at(tile), static_cast<int>(row % kTileRows),
                         static_cast<int>(rows_of(tile)), q4 ? 8 : 128, q4 ? 2 : 1);
        }
        // Chunks are taken as threads get through, because the other processor may be busy elsewhere. A chunk's weights
        // stay in the second cache while all tiles pass.
        const std::int64_t n_panels = (n_columns_ + kPanel - 1) / kPanel;
        constexpr std::int64_t kChunksPerThread = 8;
        const std::int64_t per_chunk =
            std::clamp<std::int64_t>(n_panels / (params_->nth * kChunksPerThread), 1, most_panels());
        const std::int64_t n_chunks = (n_panels + per_chunk - 1) / per_chunk;
        if (params_->ith == 0) ggml_threadpool_chunk_set(params_->threadpool, params_->nth);
        ggml_barrier(params_->threadpool);
        for (std::int64_t chunk = params_->ith; chunk < n_chunks;
             chunk = ggml_threadpool_chunk_add(params_->threadpool, 1)) {
            const std::int64_t end = std::min(n_panels, (chunk + 1) * per_chunk);
            if (kind_ == Weights::kQ4Repacked) {
                q4_chunk(chunk * per_chunk, end);
            } else {
                q8_chunk(chunk * per_chunk, end);
            }
        }
    }

  private:
    [[nodiscard]] std::byte* tile_at(std::int64_t tile) const {
        return tiles_ + tile * kTileRows * n_blocks_ * kBlockBytes;
    }
    [[nodiscard]] std::int64_t rows_of(std::int64_t tile) const {
        return std::min<std::int64_t>(kTileRows, n_rows_ - tile * kTileRows);
    }
    [[nodiscard]] std::int64_t n_tiles() const { return (n_rows_ + kTileRows - 1) / kTileRows; }
    [[nodiscard]] std::int64_t most_panels() const {
        constexpr std::int64_t kCacheBytes = 256 << 10;
        return std::max<std::int64_t>(1, kCacheBytes / (n_blocks_ * static_cast<std::int64_t>(sizeof(Q8Panel))));
    }
    [[nodiscard]] int columns_of(std::int64_t panel) const {
        return static_cast<int>(std::min<std::int64_t>(kPanel, n_columns_ - panel * kPanel));
    }
    [[nodiscard]] float* out_at(std::int64_t tile, std::int64_t panel) const {
        return out_ + tile * kTileRows * stride_ + panel * kPanel;
    }

    void q4_chunk(std::int64_t begin, std::int64_t end) const {
        const auto* blocks = static_cast<const Q4Block8*>(w_->data);
        for (std::int64_t tile = 0; tile < n_tiles(); ++tile) {
            with_rows(rows_of(tile), [&](auto rows) {
                for (std::int64_t panel = begin; panel < end; ++panel) {
                    const bool whole = columns_of(panel) == kPanel;
                    const Q4Block8* left = blocks + panel * 2 * n_blocks_;
                    q4_tile<rows()>(left, whole ? left + n_blocks_ : left, n_blocks_, tile_at(tile),
                                    out_at(tile, panel), stride_, whole ? 0xFFFF : 0x00FF);
                }
            });
        }
    }

    void q8_chunk(std::int64_t begin, std::int64_t end) const {
        thread_local std::vector<Q8Panel> packed;
        packed.resize(std::max(packed.size(), static_cast<std::size_t>((end - begin) * n_blocks_)));
        // A panel that is used once is used while the first cache still has it.
        if (n_tiles() == 1 && end - begin > 1) {
            for (std::int64_t panel = begin; panel < end; ++panel) q8_chunk(panel, panel + 1);
            return;
        }
        for (std::int64_t panel = begin; panel < end; ++panel) {
            pack_q8_panel(static_cast<const Q8Block*>(w_->data) + panel * kPanel * n_blocks_, n_blocks_,
                          columns_of(panel), n_blocks_, packed.data() + (panel - begin) * n_blocks_);
        }
        for (std::int64_t tile = 0; tile < n_tiles(); ++tile) {
            with_rows(rows_of(tile), [&](auto rows) {
                for (std::int64_t panel = begin; panel < end; ++panel) {
                    q8_tile<rows()>(packed.data() + (panel - begin) * n_blocks_, n_blocks_, tile_at(tile),
                                    out_at(tile, panel), stride_,
                                    static_cast<__mmask16>((1U << columns_of(panel)) - 1));
                }
            });
        }
    }

    const ggml_compute_params* params_;
    const ggml_tensor* w_;
    const ggml_tensor* x_;
    Weights kind_;
    std::int64_t n_blocks_;
    std::int64_t n_columns_;
    std::int64_t n_rows_;
    float* out_;
    std::int64_t stride_;
    std::byte* tiles_;
};

#endif  // SUTAZAI_MATMUL

}  // namespace

bool multiply(const ggml_compute_params* params, const ggml_tensor* op) {
#ifdef SUTAZAI_MATMUL
    const Weights kind = kind_of(op);
    if (kind == Weights::kOther || params->use_ref) return false;
    if (params->ith == 0) own_kernels().products.count();
    Product(params, op, kind).compute();
    return true;
#else
    (void)params;
    (void)op;
    return false;
#endif
}

bool product_work_size(const ggml_tensor* op, std::size_t& size) {
#ifdef SUTAZAI_MATMUL
    if (kind_of(op) == Weights::kOther) return false;
    size = activation_bytes(op->src[1]);
    return true;
#else
    (void)op;
    (void)size;
    return false;
#endif
}

bool has_products() {
#ifdef SUTAZAI_MATMUL
    return true;
#else
    return false;
#endif
}

}  // namespace sutazai::kernels
