#include "gguf/byte_reader.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace sutazai::gguf {

Result<OpenFile> open_model_file(const std::string& path) {
    std::error_code error;
    // Opening a pipe would wait for its writer.
    if (!std::filesystem::is_regular_file(path, error)) {
        return fail(ErrorCode::kLoadFailed, error ? "the file cannot be read: " + error.message() : "it is not a file");
    }
    OpenFile file{std::ifstream(path, std::ios::binary), std::filesystem::file_size(path, error)};
    if (error || !file.in) return fail(ErrorCode::kLoadFailed, "the file cannot be opened; check its permissions");
    return file;
}

std::string ByteReader::read_text(std::uint64_t length) {
    if (!ok_ || length > remaining()) {
        ok_ = false;
        return {};
    }
    std::string text(length, '\0');
    read_into(text.data(), text.size());
    if (!ok_) text.clear();
    return text;
}

void ByteReader::skip(std::uint64_t length) {
    if (!ok_ || length > remaining()) {
        ok_ = false;
        return;
    }
    const std::uint64_t buffered = buffer_end_ - buffer_at_;
    position_ += length;
    if (length <= buffered) {
        buffer_at_ += length;
        return;
    }
    buffer_at_ = buffer_end_ = 0;
    ok_ = static_cast<bool>(in_.seekg(static_cast<std::streamoff>(position_)));
}

void ByteReader::read_into(void* target, std::size_t length) {
    if (!ok_ || length > remaining()) {
        ok_ = false;
        return;
    }
    auto* out = static_cast<char*>(target);
    while (length > 0) {
        if (buffer_at_ == buffer_end_ && !refill()) {
            ok_ = false;
            return;
        }
        const std::size_t part = std::min(length, buffer_end_ - buffer_at_);
        std::memcpy(out, buffer_.data() + buffer_at_, part);
        buffer_at_ += part;
        position_ += part;
        out += part;
        length -= part;
    }
}

bool ByteReader::refill() {
    in_.read(buffer_.data(), static_cast<std::streamsize>(std::min<std::uint64_t>(buffer_.size(), remaining())));
    buffer_at_ = 0;
    buffer_end_ = static_cast<std::size_t>(in_.gcount());
    return buffer_end_ > 0;
}

}  // namespace sutazai::gguf
