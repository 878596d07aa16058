#include "http/content_coding.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <boost/beast/core/string.hpp>
#include <memory>
#include <utility>

namespace sutazai::http {

namespace {

constexpr std::size_t kPieceBytes = 16 << 10;
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

Result<HeldBody> gunzip(std::string_view compressed, std::size_t most_bytes, HeldBody empty) {
    if (compressed.empty()) return damaged("it is empty");
    z_stream stream{};
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) return fail(ErrorCode::kInternal, "The body could not be decoded.");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&stream, inflateEnd);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());  // MAX_BODY_BYTES is far below 4 GiB

    HeldBody out = std::move(empty);
    std::array<char, kPieceBytes> piece;
    for (;;) {
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        const int state = inflate(&stream, Z_NO_FLUSH);
        const std::string_view made(piece.data(), piece.size() - stream.avail_out);
        if (made.size() > most_bytes - out.text().size()) {
            return fail(
                ErrorCode::kPayloadTooLarge,
                fmt::format("The body is over the limit of {} bytes when decoded (MAX_BODY_BYTES).", most_bytes));
        }
        if (!out.append(made, most_bytes)) return std::unexpected(no_room_for_body());
        if (state == Z_STREAM_END) {
            if (stream.avail_in == 0) break;
            if (inflateReset(&stream) != Z_OK) return damaged("it cannot be read");  // the next member
        } else if (state != Z_OK && state != Z_BUF_ERROR) {
            return damaged(stream.msg != nullptr ? stream.msg : "it cannot be read");
        } else if (stream.avail_in == 0 && stream.avail_out > 0) {
            return damaged("it ends too early");
        }
    }
    return out;
}

}  // namespace sutazai::http
