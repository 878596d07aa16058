#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// For tests only.
namespace sutazai::gguf {

/// Bytes of a GGUF file, put together by hand.
class Bytes {
  public:
    template <typename T>
    Bytes& put(T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i)
            data_ += static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
        return *this;
    }
    Bytes& u32(std::uint32_t value) { return put(value); }
    Bytes& u64(std::uint64_t value) { return put(value); }
    Bytes& raw(const std::string& text) {
        data_ += text;
        return *this;
    }
    Bytes& text(const std::string& value) { return u64(value.size()).raw(value); }
    Bytes& pad(std::size_t alignment) {
        while (data_.size() % alignment != 0) data_ += '\0';
        return *this;
    }
    Bytes& head(std::uint32_t version, std::uint64_t tensors, std::uint64_t pairs) {
        return raw("GGUF").u32(version).u64(tensors).u64(pairs);
    }
    Bytes& text_pair(const std::string& key, const std::string& value) { return text(key).u32(8).text(value); }
    Bytes& u32_pair(const std::string& key, std::uint32_t value) { return text(key).u32(4).u32(value); }
    Bytes& tensor(const std::string& name, const std::vector<std::uint64_t>& shape, std::uint32_t type,
                  std::uint64_t offset) {
        text(name).u32(static_cast<std::uint32_t>(shape.size()));
        for (const auto extent : shape) u64(extent);
        return u32(type).u64(offset);
    }
    [[nodiscard]] const std::string& str() const { return data_; }

  private:
    std::string data_;
};

}  // namespace sutazai::gguf
