#include "http/content_coding.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <memory>

namespace sutazai::http {

namespace {

constexpr std::size_t kFirstBytes = 64 << 10;
constexpr int kGzipOnly = 16 + MAX_WBITS;

std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("The body is no valid gzip: {}.", what), "Content-Encoding");
}

}  // namespace

bool is_gzip(std::string_view content_encoding) {
    return boost::beast::iequals(content_encoding, "gzip") || boost::beast::iequals(content_encoding, "x-gzip");
}

Result<void> check_content_encoding(std::string_view content_encoding) {
    if (content_encoding.empty() || boost::beast::iequals(content_encoding, "identity") || is_gzip(content_encoding)) {
        return {};
    }
    return fail(ErrorCode::kUnsupportedMedia,
                fmt::format("Content-Encoding \"{}\" is not supported; send gzip, or no coding.", content_encoding),
                "Content-Encoding");
}

Result<std::string> gunzip(std::string_view compressed, std::size_t most_bytes) {
    if (compressed.empty()) return damaged("it is empty");
    z_stream stream{};
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) return fail(ErrorCode::kInternal, "The body could not be decoded.");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&stream, inflateEnd);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());  // MAX_BODY_BYTES is far below 4 GiB

    std::string out;
    std::size_t size = 0;
    for (;;) {
        // One byte more than is allowed tells that there is more.
        if (size == out.size()) out.resize(std::min(std::max(kFirstBytes, 2 * size), most_bytes + 1));
        stream.next_out = reinterpret_cast<Bytef*>(out.data() + size);
        stream.avail_out = static_cast<uInt>(out.size() - size);
        const int state = inflate(&stream, Z_NO_FLUSH);
        size = out.size() - stream.avail_out;
        if (size > most_bytes) {
            return fail(
                ErrorCode::kPayloadTooLarge,
                fmt::format("The body is over the limit of {} bytes when decoded (MAX_BODY_BYTES).", most_bytes));
        }
        if (state == Z_STREAM_END) {
            if (stream.avail_in == 0) break;
            if (inflateReset(&stream) != Z_OK) return damaged("it cannot be read");  // the next member
        } else if (state != Z_OK && state != Z_BUF_ERROR) {
            return damaged(stream.msg != nullptr ? stream.msg : "it cannot be read");
        } else if (stream.avail_in == 0 && stream.avail_out > 0) {
            return damaged("it ends too early");
        }
    }
    out.resize(size);
    return out;
}

}  // namespace sutazai::http
