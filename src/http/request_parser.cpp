#include "http/request_parser.h"

#include <fmt/format.h>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <utility>

namespace sutazai::http {

namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;

namespace {

std::unexpected<Refusal> bad_head(std::string message, std::string field = {}) {
    return std::unexpected(Refusal{{ErrorCode::kInvalidArgument, std::move(message), std::move(field)}});
}

/// Of several fields of one name the first counts.
void set_once(std::string& to, std::string_view value) {
    if (to.empty()) to = value;
}

/// Fields that may be there several times are one list.
void add_to_list(std::string& list, std::string_view value) {
    if (!list.empty()) list += ", ";
    list += value;
}

std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace

RequestParser::RequestParser(const config::Settings& settings, const BodyBudget& budget, const Router* router)
    : settings_(settings), router_(router), body_(budget), most_body_bytes_(settings.max_body_bytes) {
    header_limit(settings.max_header_bytes);
    body_limit(settings.max_body_bytes);
}

std::expected<Request, Refusal> RequestParser::take_head() {
    Request request = std::exchange(request_, {});
    request.has_body = chunked() || content_length().value_or(0) > 0;
    if (!split_target(target_, request)) return bad_head("The request target is malformed.");
    if (n_hosts_ > 1) return bad_head("There is more than one Host header.", "Host");
    if (!transfer_encoding_.empty() && !request.http_1_1) {
        return bad_head("HTTP/1.0 knows no Transfer-Encoding.", "Transfer-Encoding");
    }
    if (!transfer_encoding_.empty() && !beast::iequals(transfer_encoding_, "chunked")) {
        return std::unexpected(Refusal{
            {ErrorCode::kInvalidArgument,
             fmt::format("Transfer-Encoding \"{}\" is not supported; chunked alone is. A body may be compressed "
                         "with Content-Encoding: gzip.",
                         transfer_encoding_),
             "Transfer-Encoding"},
            501});
    }
    return request;
}

std::optional<Refusal> RequestParser::refusal(error_code failure) const {
    if (no_room_) return Refusal{no_room_for_body(), 503};
    if (failure == wire::error::body_limit) {
        return Refusal{
            {ErrorCode::kPayloadTooLarge,
             fmt::format("The body is over the limit of {} bytes (MAX_BODY_BYTES).", settings_.max_body_bytes)},
            413};
    }
    if (field_is_too_long_) {
        return Refusal{{ErrorCode::kPayloadTooLarge,
                        fmt::format("A field of the header is over the limit of {} bytes.", kMostFieldBytes)},
                       431};
    }
    if (failure == wire::error::header_limit) {
        return Refusal{
            {ErrorCode::kPayloadTooLarge,
             fmt::format("The header is over the limit of {} bytes (MAX_HEADER_BYTES).", settings_.max_header_bytes)},
            431};
    }
    if (failure.category() != wire::make_error_code(wire::error::bad_method).category()) return std::nullopt;
    return Refusal{{ErrorCode::kInvalidArgument, "The request is not valid HTTP: " + failure.message() + "."}};
}

void RequestParser::count(std::size_t bytes, error_code& failure) {
    head_bytes_ += bytes;
    if (head_bytes_ > settings_.max_header_bytes) failure = wire::error::header_limit;
}

void RequestParser::on_request_impl(wire::verb /*verb*/, Text method, Text target, int version, error_code& failure) {
    constexpr std::size_t kAround = std::string_view("  HTTP/1.1\r\n").size();
    request_.method = method_from(view(method));
    request_.http_1_1 = version >= 11;
    target_ = view(target);
    count(method.size() + target.size() + kAround, failure);
    if (router_ == nullptr) return;
    const Match match = router_->match(request_.method, target_);
    streams_ = match.route != nullptr && match.route->streams;
    if (!streams_) return;
    body_limit(boost::none);
    body_ = HeldBody();
}

void RequestParser::on_response_impl(int /*code*/, Text /*reason*/, int /*version*/, error_code& /*failure*/) {}

void RequestParser::on_field_impl(Field field, Text name, Text value, error_code& failure) {
    constexpr std::size_t kAround = std::string_view(": \r\n").size();
    field_is_too_long_ = name.size() + value.size() > kMostFieldBytes;
    count(name.size() + value.size() + kAround, failure);
    if (field_is_too_long_) failure = wire::error::header_limit;
    if (failure || is_header_done()) return;  // of a trailer nothing is wanted
    const std::string_view text = view(value);
    switch (field) {
        case Field::host:
            ++n_hosts_;
            set_once(request_.host, text);
            break;
        case Field::origin: set_once(request_.origin, text); break;
        case Field::authorization: set_once(request_.authorization, text); break;
        case Field::content_type: set_once(request_.content_type, text); break;
        case Field::content_encoding: add_to_list(request_.content_encoding, text); break;
        case Field::transfer_encoding: add_to_list(transfer_encoding_, text); break;
        case Field::accept: add_to_list(request_.accept, text); break;
        case Field::accept_encoding: add_to_list(request_.accept_encoding, text); break;
        case Field::if_none_match: add_to_list(request_.if_none_match, text); break;
        case Field::via: add_to_list(request_.via, text); break;
        case Field::access_control_request_method: set_once(request_.requested_method, text); break;
        case Field::access_control_request_headers: set_once(request_.requested_headers, text); break;
        case Field::expect: expects_continue_ = beast::iequals(value, "100-continue"); break;
        default:
            if (beast::iequals(name, "X-Request-Id")) set_once(request_.request_id, text);
            if (beast::iequals(name, "traceparent")) set_once(request_.traceparent, text);
            if (beast::iequals(name, "X-API-Key")) set_once(request_.api_key, text);
            if (beast::iequals(name, "anthropic-version")) set_once(request_.anthropic_version, text);
    }
}

void RequestParser::on_header_impl(error_code& /*failure*/) {}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& /*failure*/) {
    if (length && !streams_) most_body_bytes_ = *length;
}

std::size_t RequestParser::on_body_impl(Text bytes, error_code& failure) {
    if (body_.append(view(bytes), most_body_bytes_)) return bytes.size();
    no_room_ = true;
    failure = wire::error::body_limit;
    return 0;
}

void RequestParser::on_chunk_header_impl(std::uint64_t /*size*/, Text /*extensions*/, error_code& /*failure*/) {}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t /*remain*/, Text bytes, error_code& failure) {
    return on_body_impl(bytes, failure);
}

void RequestParser::on_finish_impl(error_code& /*failure*/) {}

}  // namespace sutazai::http
