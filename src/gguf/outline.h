#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gguf/layout.h"

/// The head of a GGUF file (versions 2 and 3, little-endian) as data: what it says, and where its tensors lie. Format:
/// ggml's docs/gguf.md.
namespace sutazai::gguf {

/// Of a file.
struct Range {
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;
};

/// A metadata value as the file has it, little-endian.
struct Value {
    std::uint32_t type = kUint8;
    std::uint32_t element = kUint8;  ///< of an array
    std::uint64_t count = 1;         ///< of an array
    /// Where the elements of an array lie in the file; nothing when `bytes` has them.
    std::optional<Range> place = {};
    std::string bytes = {};  ///< a text without its length; in an array of texts each has its length before it
};

struct Pair {
    std::string key;
    Value value;
};

/// Bytes that a tensor has of the file: all from `begin` on, or one of every two rows.
struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;      ///< that are taken
    std::uint64_t row_bytes = 0;  ///< over 0: the first row lies at `begin`, the next one two rows further, and so on

    /// Behind the last byte that is taken. Nothing when that is more than 64 bits can say.
    [[nodiscard]] std::optional<std::uint64_t> end() const;
};

/// What is done to bytes of the file on their way to the reader of a tensor.
enum class Recoding : std::uint8_t {
    kNone,
    kEarlyMxfp4,  ///< the nibbles of each block into ggml's order
    kWiden,       ///< bfloat16 into float
};
/// Bytes of the file that belong together, and how many they become.
struct RecodingUnit {
    std::uint64_t from = 1;
    std::uint64_t to = 1;
};
[[nodiscard]] RecodingUnit unit_of(Recoding recoding);

struct Tensor {
    std::string name;
    std::uint32_t dimensions = 1;
    Shape shape{1, 1, 1, 1};
    std::uint32_t type = 0;
    std::uint64_t elements = 0;
    std::uint64_t bytes = 0;
    std::uint64_t begin = 0;    ///< in the file
    std::vector<Piece> pieces;  ///< where its bytes are joined from, in this order; none: it lies at `begin` as it is
    Recoding recoding = Recoding::kNone;

    [[nodiscard]] std::vector<Piece> all_pieces() const;  ///< never empty
};

/// Lookups are by name and linear: heads have some dozen entries. Constant while nobody edits it.
struct Outline {
    std::uint32_t version = 3;
    std::uint64_t alignment = kDefaultAlignment;
    std::uint64_t data_offset = 0;   ///< where the tensors' bytes begin in the file
    std::uint64_t tensor_bytes = 0;  ///< from there to the end of the last tensor; inside the file
    std::vector<Pair> pairs;
    std::vector<Tensor> tensors;

    [[nodiscard]] std::string_view architecture() const { return text("general.architecture"); }

    [[nodiscard]] const Value* find(std::string_view key) const;
    [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
    /// Empty when there is no text of that key.
    [[nodiscard]] std::string_view text(std::string_view key) const;
    /// Nothing when there is no whole number, or a negative one.
    [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key) const;
    /// Those of an array of 32-bit numbers that is not too long to be kept, negative ones as 0; empty when there is
    /// none.
    [[nodiscard]] std::vector<std::uint64_t> numbers(std::string_view key) const;

    [[nodiscard]] const Tensor* find_tensor(std::string_view name) const;
    [[nodiscard]] bool has_tensors_of(std::string_view prefix) const;  ///< whose names begin so
};

/// Reads and checks the head of a file of `size` bytes from its beginning. Every length, count and offset is checked
/// before it is used, with stricter limits than the engine's, so that a broken or hostile file ends here, with a clear
/// message, and not in an engine process. Long arrays stay in the file. kLoadFailed: no GGUF file, truncated (with both
/// sizes), a version or type that this engine does not read, counts or sizes that cannot be. Blocks on the disk for
/// milliseconds; any thread.
[[nodiscard]] Result<Outline> read_outline(std::istream& in, std::uint64_t size);

/// The same, but nothing as soon as `enough`, which is asked after each metadata entry, says so of what was read so
/// far.
[[nodiscard]] Result<std::optional<Outline>> read_outline_unless(std::istream& in, std::uint64_t size,
                                                                 const std::function<bool(const Outline&)>& enough);

/// `text` for a message: a hostile file decides on its bytes and length.
[[nodiscard]] std::string printable(std::string_view text);

/// Little-endian.
template <typename T>
[[nodiscard]] T from_bytes(std::string_view bytes) {
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(value << 8 | static_cast<std::uint8_t>(bytes[i]));
    return value;
}
template <typename T>
void append_bytes(std::string& out, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
}

}  // namespace sutazai::gguf
