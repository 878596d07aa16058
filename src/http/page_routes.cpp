#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "http/page_files.h"
#include "http/routes.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// Nothing but its own files and this server; nobody else's page may have it in a frame.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Is `token` in a header's list, and not with the weight 0?
bool accepts(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const std::string_view entry = list.substr(0, list.find(','));
        list.remove_prefix(std::min(list.size(), entry.size() + 1));
        const std::size_t begin = entry.find_first_not_of(' ');
        if (begin == std::string_view::npos) continue;
        const std::string_view name = entry.substr(begin, entry.find_first_of("; ", begin) - begin);
        if (name != token) continue;
        const std::size_t weight = entry.find("q=0");
        return weight == std::string_view::npos || entry.find_first_of("123456789", weight) != std::string_view::npos;
    }
    return false;
}

/// For the few that take no gzip.
Result<std::string> unpacked(const PageFile& file) {
    std::string out(file.bytes, '\0');
    z_stream stream{};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return fail(ErrorCode::kInternal, "There is no memory for it.");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(file.gzip.data()));
    stream.avail_in = static_cast<uInt>(file.gzip.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int state = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    if (state != Z_STREAM_END) return fail(ErrorCode::kInternal, "The page's file could not be unpacked.");
    return out;
}

asio::awaitable<Result<void>> send_file(Exchange& exchange, const PageFile& file) {
    const Request& request = exchange.request();
    const std::string_view digest = file.etag.substr(1, file.etag.size() - 2);
    // Asked for by its digest it will never be another; by its name alone it is asked for anew each time.
    exchange.add_header("Cache-Control", request.query == digest ? "max-age=31536000, immutable" : "no-cache");
    exchange.add_header("ETag", file.etag);
    exchange.add_header("Vary", "Accept, Accept-Encoding");
    exchange.add_header("Content-Security-Policy", kPolicy);
    exchange.add_header("Referrer-Policy", "no-referrer");
    exchange.add_header("Cross-Origin-Opener-Policy", "same-origin");
    if (request.if_none_match == "*" || request.if_none_match.find(file.etag) != std::string::npos) {
        co_return co_await exchange.send(304, "", "");
    }
    if (accepts(request.accept_encoding, "gzip")) {
        exchange.add_header("Content-Encoding", "gzip");
        co_return co_await exchange.send(200, file.content_type, file.gzip);
    }
    const Result<std::string> plain = unpacked(file);
    if (!plain) co_return std::unexpected(plain.error());
    co_return co_await exchange.send(200, file.content_type, *plain);
}

const PageFile* find_file(std::string_view name) {
    const auto files = page_files();
    const auto found = std::ranges::find(files, name, &PageFile::name);
    return found == files.end() ? nullptr : &*found;
}

}  // namespace

asio::awaitable<Result<void>> get_root(Services& /*services*/, Exchange& exchange) {
    const PageFile* page = find_file("index.html");
    if (page != nullptr && accepts(exchange.request().accept, "text/html"))
        co_return co_await send_file(exchange, *page);
    // What Ollama's clients look for.
    exchange.add_header("Vary", "Accept");
    co_return co_await exchange.send(200, "text/plain; charset=utf-8", "Ollama is running");
}

asio::awaitable<Result<void>> get_page_part(Services& /*services*/, Exchange& exchange) {
    const PageFile* file = find_file(exchange.parameter);
    if (file == nullptr) {
        co_return fail(ErrorCode::kNotFound, fmt::format("The page has no file {}.", exchange.parameter.substr(0, 80)));
    }
    co_return co_await send_file(exchange, *file);
}

}  // namespace sutazai::http
