#pragma once

#include <array>
#include <cstdint>
#include <optional>

/// Numbers of ggml's docs/gguf.md and ggml.h: types of metadata values and of tensors.
namespace sutazai::gguf {

enum ValueType : std::uint32_t {
    kUint8,
    kInt8,
    kUint16,
    kInt16,
    kUint32,
    kInt32,
    kFloat32,
    kBool,
    kString,
    kArray,
    kUint64,
    kInt64,
    kFloat64
};
/// Bytes of a value of each type; 0: a text, or an array.
inline constexpr std::array<std::uint8_t, 13> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

inline constexpr std::uint64_t kDefaultAlignment = 32;
inline constexpr std::uint64_t kMaxKeyBytes = 65535;
inline constexpr std::uint64_t kMaxTensorNameBytes = 63;
inline constexpr std::uint32_t kMaxDimensions = 4;

using Shape = std::array<std::uint64_t, kMaxDimensions>;  ///< values in a row first; 1 where there is no dimension

inline constexpr std::uint32_t kTensorF32 = 0;
inline constexpr std::uint32_t kTensorBf16 = 30;
inline constexpr std::uint32_t kTensorMxfp4 = 39;
/// What the first gpt-oss files call MXFP4: the number of a type that ggml had given up. Its blocks have the nibbles in
/// another order.
inline constexpr std::uint32_t kTensorEarlyMxfp4 = 4;

/// Bytes of a tensor. Nothing when there is no such type, when its rows are no whole number of blocks, or when it is
/// larger than 64 bits can say.
struct TensorSize {
    enum class Fault : std::uint8_t { kNone, kType, kRow, kSize };
    Fault fault = Fault::kNone;
    std::uint64_t elements = 0;
    std::uint64_t bytes = 0;
};
[[nodiscard]] TensorSize size_of_tensor(std::uint32_t type, const Shape& shape);

}  // namespace sutazai::gguf
