#include "http/exchange.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "http/status.h"
#include "serve/request_id.h"
#include "upstream/upstreams.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// A body up to this is copied behind its head, so that both go in one packet or a few.
constexpr std::size_t kOneWriteBytes = 16 << 10;

/// The Date header's value, made anew once a second.
const std::string& http_date() {
    thread_local std::time_t made_for = 0;
    thread_local std::string date;
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    if (now != made_for) {
        made_for = now;
        date = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
    }
    return date;
}

}  // namespace

Exchange::Exchange(Request request, Transport& transport)
    : request_(std::move(request)),
      transport_(transport),
      request_id_(serve::is_request_id(request_.request_id) ? request_.request_id : serve::new_request_id()) {
    add_header("X-Request-Id", request_id_);
}

void Exchange::set_family(Family to) {
    // Anthropic's clients know it by this name.
    if (to == Family::kAnthropic && family != to) add_header("request-id", request_id_);
    family = to;
}

void Exchange::add_header(std::string_view name, std::string_view value) {
    fmt::format_to(std::back_inserter(extra_headers_), "{}: {}\r\n", name, value);
}

void Exchange::append_head(std::string& out, unsigned status, std::string_view content_type) {
    status_ = status;
    fmt::format_to(std::back_inserter(out),
                   "HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: {}\r\nX-Content-Type-Options: nosniff\r\n{}", status,
                   reason_phrase(status), http_date(), keep_alive ? "keep-alive" : "close", extra_headers_);
    if (!content_type.empty()) fmt::format_to(std::back_inserter(out), "Content-Type: {}\r\n", content_type);
}

std::string_view Exchange::probe() const {
    if (answered()) return stream_probe_;
    // HTTP/1.0 knows no interim answers. Others take any number of them, whether they asked or not (RFC 9110, 15.2).
    return request_.http_1_1 ? "HTTP/1.1 100 Continue\r\n\r\n" : "";
}

asio::awaitable<Result<void>> Exchange::send(unsigned status, std::string_view content_type, std::string_view body) {
    std::string out;
    append_head(out, status, content_type);
    const bool bare = status == 204 || status == 304;
    if (!bare) fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", body.size());
    out += "\r\n";
    if (request_.method == Method::kHead || bare) body = {};
    if (body.size() <= kOneWriteBytes) {
        out += body;
        body = {};
    }
    Result<void> written = co_await transport_.write(out);
    if (written && !body.empty()) written = co_await transport_.write(body);
    co_return written;
}

asio::awaitable<Result<void>> Exchange::begin_sized(std::string_view content_type, std::uint64_t bytes) {
    std::string out;
    append_head(out, 200, content_type);
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n\r\n", bytes);
    co_return co_await transport_.write(out);
}

asio::awaitable<Result<void>> Exchange::send_piece(std::string_view bytes) {
    return transport_.write(bytes);
}

asio::awaitable<Result<void>> Exchange::send_json(unsigned status, std::string_view body) {
    return send(status, "application/json", body);
}

asio::awaitable<Result<void>> Exchange::send_error(Error error) {
    const unsigned status = http_status(error.code, family);
    return send_error(std::move(error), status);
}

asio::awaitable<Result<void>> Exchange::send_error(Error error, unsigned status) {
    if (error.code == ErrorCode::kUnauthorized) add_header("WWW-Authenticate", "Bearer");
    if (const int seconds = retry_after_s(error); seconds > 0) add_header("Retry-After", fmt::to_string(seconds));
    const std::string body = error_body(family, error, request_id_);
    co_return co_await send_json(status, body);
}

bool comes_from_a_sutazai(const Exchange& exchange) {
    return exchange.request().via.find(upstream::kViaName) != std::string::npos;
}

}  // namespace sutazai::http
