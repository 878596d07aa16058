#include "ipc/frame.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sutazai::ipc {
namespace {

static_assert(std::endian::native == std::endian::little, "frame headers are copied as they lie in memory");

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::size_t kKeepBytes = std::size_t{1} << 20;  // a larger buffer is given back once it is empty

Error too_large(std::size_t size) {
    return {ErrorCode::kPayloadTooLarge,
            fmt::format("A frame of {} bytes is longer than the {} that are allowed.", size, kMaxFrameBytes)};
}

}  // namespace

Result<void> append_frame(std::string& out, const google::protobuf::MessageLite& message) {
    const std::size_t size = message.ByteSizeLong();
    if (size > kMaxFrameBytes) return std::unexpected(too_large(size));
    const std::size_t at = out.size();
    out.resize(at + kFrameHeaderBytes + size);
    const auto header = static_cast<std::uint32_t>(size);
    std::memcpy(out.data() + at, &header, kFrameHeaderBytes);
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out.data() + at + kFrameHeaderBytes));
    return {};
}

std::span<char> FrameDecoder::prepare(std::size_t n_bytes) {
    const std::size_t used = end_ - begin_;
    if (used == 0) {
        begin_ = end_ = 0;
        if (capacity_ > kKeepBytes && n_bytes <= kKeepBytes) {
            buffer_.reset();
            capacity_ = 0;
        }
    }
    if (capacity_ - end_ < n_bytes) {
        // Moving to the front costs `used` bytes; it pays only when at least as many have been handed out since.
        if (begin_ >= used && capacity_ - used >= n_bytes) {
            std::memmove(buffer_.get(), buffer_.get() + begin_, used);
        } else {
            const std::size_t capacity = std::max(used + n_bytes, 2 * used);
            auto larger = std::make_unique_for_overwrite<char[]>(capacity);
            if (used > 0) std::memcpy(larger.get(), buffer_.get() + begin_, used);
            buffer_ = std::move(larger);
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = used;
    }
    return {buffer_.get() + end_, capacity_ - end_};
}

void FrameDecoder::commit(std::size_t n_bytes) {
    end_ += n_bytes;
}

void FrameDecoder::feed(std::span<const char> bytes) {
    if (bytes.empty()) return;
    const std::span<char> room = prepare(bytes.size());
    std::memcpy(room.data(), bytes.data(), bytes.size());
    commit(bytes.size());
}

Result<std::optional<std::string_view>> FrameDecoder::next() {
    if (buffered_bytes() < kFrameHeaderBytes) return std::nullopt;
    std::uint32_t size = 0;
    std::memcpy(&size, buffer_.get() + begin_, kFrameHeaderBytes);
    if (size > kMaxFrameBytes) return std::unexpected(too_large(size));
    if (buffered_bytes() - kFrameHeaderBytes < size) return std::nullopt;
    const std::string_view payload(buffer_.get() + begin_ + kFrameHeaderBytes, size);
    begin_ += kFrameHeaderBytes + size;
    return payload;
}

Result<void> write_all(int fd, std::span<const char> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) continue;
            return fail(ErrorCode::kInternal, fmt::format("Writing to the socket failed: {}.", std::strerror(errno)));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Result<std::optional<std::string_view>> FrameReader::read() {
    for (;;) {
        auto payload = decoder_.next();
        if (!payload || *payload) return payload;
        const std::span<char> room = decoder_.prepare(kReadBytes);
        const ssize_t n = ::recv(fd_, room.data(), room.size(), 0);
        if (n > 0) {
            decoder_.commit(static_cast<std::size_t>(n));
        } else if (n == 0) {
            if (decoder_.buffered_bytes() == 0) return std::nullopt;
            return fail(ErrorCode::kInternal, "The socket was closed in the middle of a frame.");
        } else if (errno != EINTR) {
            return fail(ErrorCode::kInternal, fmt::format("Reading from the socket failed: {}.", std::strerror(errno)));
        }
    }
}

}  // namespace sutazai::ipc
