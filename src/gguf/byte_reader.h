#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"

/// Little-endian values from a stream that may lie about itself.
namespace sutazai::gguf {

/// A file at its beginning.
struct OpenFile {
    std::ifstream in;
    std::uint64_t size = 0;
};
/// kLoadFailed, with the reason, for what is no regular file or cannot be opened. Blocks on the disk; any thread.
[[nodiscard]] Result<OpenFile> open_model_file(const std::string& path);

/// Reads forward through the first `size` bytes of a stream. Once anything goes wrong (past the end, a stream that
/// fails, a length over its limit) ok() is false for good, values read are 0 and nothing is read any more; so a caller
/// may read several values and look once, before it acts on one of them.
class ByteReader {
  public:
    /// `in` outlives the reader.
    ByteReader(std::istream& in, std::uint64_t size) : in_(in), size_(size), buffer_(kBufferBytes) {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::uint64_t position() const { return position_; }
    [[nodiscard]] std::uint64_t remaining() const { return size_ - position_; }

    template <typename T>
    requires std::is_unsigned_v<T> T read() {
        std::uint8_t bytes[sizeof(T)] = {};
        read_into(bytes, sizeof(T));
        T value = 0;
        for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(value << 8 | bytes[i]);
        return ok_ ? value : T{0};
    }

    /// The next `length` bytes. `length` is checked against what remains before memory is taken for it.
    std::string read_text(std::uint64_t length);
    void skip(std::uint64_t length);

  private:
    static constexpr std::size_t kBufferBytes = 1 << 16;

    void read_into(void* target, std::size_t length);
    [[nodiscard]] bool refill();

    std::istream& in_;
    std::uint64_t size_;
    std::uint64_t position_ = 0;
    std::vector<char> buffer_;
    std::size_t buffer_at_ = 0;
    std::size_t buffer_end_ = 0;
    bool ok_ = true;
};

}  // namespace sutazai::gguf
