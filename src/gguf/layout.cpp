#include "gguf/layout.h"

namespace sutazai::gguf {
namespace {

/// How ggml lays out a row of a tensor type: `bytes` for each `elements`. 0 elements: no such type (any more).
struct BlockLayout {
    std::uint16_t elements = 0;
    std::uint16_t bytes = 0;
};
constexpr std::array<BlockLayout, 43> kBlockLayouts{{
    {1, 4},    {1, 2},    {32, 18},   {32, 20},   {32, 17},   {},         {32, 22},   {32, 24},  {32, 34},
    {32, 36},  {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}, {256, 292}, {256, 66}, {256, 74},
    {256, 98}, {256, 50}, {32, 18},   {256, 110}, {256, 82},  {256, 136}, {1, 1},     {1, 2},    {1, 4},
    {1, 8},    {1, 8},    {256, 56},  {1, 2},     {},         {},         {},         {256, 54}, {256, 66},
    {},        {},        {},         {32, 17},   {64, 36},   {128, 18},  {64, 18},
}};

}  // namespace

TensorSize size_of_tensor(std::uint32_t type, const Shape& shape) {
    TensorSize out{.elements = 1};
    const auto faulty = [&](TensorSize::Fault fault) {
        out.fault = fault;
        return out;
    };
    for (const std::uint64_t extent : shape) {
        if (__builtin_mul_overflow(out.elements, extent, &out.elements)) return faulty(TensorSize::Fault::kSize);
    }
    const BlockLayout layout = type < kBlockLayouts.size() ? kBlockLayouts.at(type) : BlockLayout{};
    if (layout.elements == 0) return faulty(TensorSize::Fault::kType);
    if (shape[0] % layout.elements != 0) return faulty(TensorSize::Fault::kRow);
    if (__builtin_mul_overflow(out.elements / layout.elements, layout.bytes, &out.bytes)) {
        return faulty(TensorSize::Fault::kSize);
    }
    return out;
}

}  // namespace sutazai::gguf
