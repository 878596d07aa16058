#include "http/stream_sink.h"

#include <string_view>

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

// The size of a chunk is known only when its payload has been appended behind it, so it gets a fixed width.
constexpr std::string_view kSizeLine = "00000000\r\n";

}  // namespace

std::string& StreamSink::buffer() {
    if (!begun_) begin();
    return buffer_;
}

void StreamSink::begin() {
    begun_ = true;
    buffer_.reserve(1024);
    if (!chunked_) exchange_.keep_alive = false;
    exchange_.append_head(buffer_, 200, type_.content_type);
    buffer_ += "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
    if (chunked_) buffer_ += "Transfer-Encoding: chunked\r\n";
    buffer_ += "\r\n";
    begin_chunk();
}

void StreamSink::begin_chunk() {
    if (chunked_) buffer_ += kSizeLine;
    chunk_start_ = buffer_.size();
}

void StreamSink::end_chunk() {
    if (!chunked_) return;
    std::size_t size = buffer_.size() - chunk_start_;
    const std::size_t line_start = chunk_start_ - kSizeLine.size();
    if (size == 0) {
        buffer_.resize(line_start);  // an empty chunk would end the stream
        return;
    }
    for (std::size_t digit = line_start + 8; size > 0; size >>= 4) buffer_[--digit] = "0123456789abcdef"[size & 15];
    buffer_ += "\r\n";
}

asio::awaitable<Result<void>> StreamSink::flush() {
    if (!begun_) begin();
    end_chunk();
    exchange_.stream_probe_ = {};
    const Result<void> written = co_await exchange_.transport_.write(buffer_);
    exchange_.stream_probe_ = chunked_ ? type_.probe_chunk : type_.probe;
    buffer_.clear();
    begin_chunk();
    co_return written;
}

asio::awaitable<Result<void>> StreamSink::finish() {
    if (!begun_) begin();
    end_chunk();
    if (chunked_) buffer_ += "0\r\n\r\n";
    exchange_.stream_probe_ = {};
    const Result<void> written = co_await exchange_.transport_.write(buffer_);
    exchange_.ended_ = written.has_value();
    co_return written;
}

}  // namespace sutazai::http
