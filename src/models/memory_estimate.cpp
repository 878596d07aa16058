#include "models/memory_estimate.h"

#include <algorithm>
#include <limits>

#include "base/kv_cells.h"

namespace sutazai::models {
namespace {

constexpr std::uint64_t kMicroBatchTokens = 512;
constexpr std::uint64_t kCellRounding = 256;
constexpr std::uint64_t kMostSequences = 256;

/// Products of what a file claims: never wraps, and leaves room for sums.
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 16;
    std::uint64_t out = 0;
    return __builtin_mul_overflow(a, b, &out) ? kMost : std::min(out, kMost);
}

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    return product(1, a) + product(1, b);
}

}  // namespace

MemoryEstimate estimate_memory(const catalog::GgufSummary& model, const EngineShape& shape) {
    const auto training =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(model.context_length, std::numeric_limits<int>::max()));
    std::uint64_t cells = shape.context_tokens;
    if (cells == 0) cells = default_kv_cells(training, shape.batch_size);
    cells = (cells + kCellRounding - 1) / kCellRounding * kCellRounding;
    const std::uint64_t micro_batch = std::min<std::uint64_t>(shape.batch_tokens, kMicroBatchTokens);
    const std::uint64_t sequences =
        std::min<std::uint64_t>(std::max(shape.batch_size, shape.batch_size_max), kMostSequences);

    MemoryEstimate out;
    out.weights = sum(sum(model.tensor_bytes, model.tied_bytes), shape.adapter_bytes);
    out.weights = sum(out.weights, shape.projector_bytes);
    out.kv = product(product(cells, model.kv_heads_in_all),
                     product(shape.kv_bytes_of_32, sum(model.key_length, model.value_length)) / 32);
    const std::uint64_t row = sum(product(3, model.feed_forward_length), product(8, model.embedding_length));
    out.compute = sum(sum(product(4 * micro_batch, row), product(4 * micro_batch, cells)),
                      product(8 * sequences, model.vocabulary));
    if (shape.projector_bytes > 0) out.compute = sum(out.compute, kImageBytes);
    out.process = sum(kProcessBytes, product(kBytesPerToken, model.vocabulary));
    return out;
}

}  // namespace sutazai::models
