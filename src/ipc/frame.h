#pragma once

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

/// Frames of proto/engine.proto: a 4-byte little-endian length, then one serialised message. No threads of its own.
namespace sutazai::ipc {

/// Longest message of one frame. Whoever announces more is talking nonsense.
inline constexpr std::size_t kMaxFrameBytes = std::size_t{64} << 20;
inline constexpr std::size_t kFrameHeaderBytes = 4;

/// Appends `message` as one frame to `out`, so that one string carries many frames and keeps its memory between them.
/// kPayloadTooLarge when the message is longer than kMaxFrameBytes; `out` is untouched then.
[[nodiscard]] Result<void> append_frame(std::string& out, const google::protobuf::MessageLite& message);

/// Bytes in, payloads out. Linear in the bytes; memory follows what has arrived, never what a header announces.
class FrameDecoder {
  public:
    /// Room for at least `n_bytes` more, to read into; what was read is then committed. Invalidates earlier views.
    [[nodiscard]] std::span<char> prepare(std::size_t n_bytes);
    void commit(std::size_t n_bytes);

    /// prepare(), copy, commit().
    void feed(std::span<const char> bytes);

    /// The next complete payload, valid until the next prepare() or feed(); nothing when more bytes are needed.
    /// kPayloadTooLarge when a header announces more than kMaxFrameBytes: the stream is lost, each later call says so.
    [[nodiscard]] Result<std::optional<std::string_view>> next();

    [[nodiscard]] std::size_t buffered_bytes() const { return end_ - begin_; }  ///< fed, not yet handed out
    [[nodiscard]] std::size_t capacity_bytes() const { return capacity_; }

  private:
    std::unique_ptr<char[]> buffer_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  // first byte not handed out
    std::size_t end_ = 0;    // past the last byte fed
};

/// Writes all of `bytes` to a blocking socket. kInternal when the peer is gone (no SIGPIPE) or the write fails.
[[nodiscard]] Result<void> write_all(int fd, std::span<const char> bytes);

/// Reads frames from a blocking socket that the caller keeps open for as long.
class FrameReader {
  public:
    explicit FrameReader(int fd) : fd_(fd) {}

    /// Waits for the next payload, valid until the next call; nothing when the peer closed the socket between two
    /// frames. Errors: as FrameDecoder::next(); kInternal when reading fails or the socket ends within a frame.
    [[nodiscard]] Result<std::optional<std::string_view>> read();

  private:
    int fd_;
    FrameDecoder decoder_;
};

}  // namespace sutazai::ipc
