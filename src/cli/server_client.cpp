#include "cli/server_client.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cstdint>
#include <optional>

namespace sutazai::cli {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace json = boost::json;
namespace urls = boost::urls;

namespace {

constexpr std::uint64_t kMostBytes = 64 << 20;

/// http://host[:port], with or without a slash behind it.
std::optional<urls::url_view> parse_url(std::string_view text) {
    const auto url = urls::parse_uri(text);
    if (!url || url->scheme_id() != urls::scheme::http || url->encoded_host().empty() || url->has_userinfo() ||
        url->has_query() || url->has_fragment() || (url->encoded_path() != "" && url->encoded_path() != "/") ||
        (!url->port().empty() && url->port_number() == 0)) {
        return std::nullopt;
    }
    return *url;
}

/// The message of an error of whatever family, or the status when there is none.
std::string message_of(unsigned status, std::string_view body) {
    boost::system::error_code error;
    const json::value parsed = json::parse(body, error);
    if (!error) {
        if (const auto* message = parsed.find_pointer("/error/message", error);
            message != nullptr && message->is_string()) {
            return std::string(std::string_view(message->get_string()));
        }
        if (const auto* message = parsed.find_pointer("/error", error); message != nullptr && message->is_string()) {
            return std::string(std::string_view(message->get_string()));
        }
    }
    return fmt::format("the server answered with status {}", status);
}

}  // namespace

Result<std::string> server_url(const config::Settings& settings) {
    if (settings.port == 0) {
        return fail(ErrorCode::kInvalidArgument, "PORT is 0; name the server with --url, as `sutazai serve` printed it",
                    "PORT");
    }
    std::string host = settings.host;
    if (host == "0.0.0.0" || host == "::" || host == "[::]" || host == "*") host = "127.0.0.1";
    if (host.find(':') != std::string::npos && !host.starts_with('[')) host = fmt::format("[{}]", host);
    return fmt::format("http://{}:{}", host, settings.port);
}

Result<std::string> ServerClient::post(std::string_view path, std::string_view body) const {
    const auto url = parse_url(url_);
    if (!url) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} is no URL of a server; it has the form http://host:port", url_), "--url");
    }
    const auto unreachable = [&](const boost::system::error_code& why) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("no server answers at {} ({}); start one with `sutazai serve`, or name it with --url",
                                url_, why.message()));
    };
    boost::system::error_code error;
    asio::io_context io;
    asio::ip::tcp::resolver resolver(io);
    const std::string port = url->port().empty() ? "80" : std::string(std::string_view(url->port()));
    const auto endpoints = resolver.resolve(url->host_address(), port, error);
    if (error) return unreachable(error);
    asio::ip::tcp::socket socket(io);
    asio::connect(socket, endpoints, error);
    if (error) return unreachable(error);

    namespace http = beast::http;
    http::request<http::string_body> request{http::verb::post, {path.data(), path.size()}, 11};
    request.set(http::field::host, fmt::format("{}:{}", std::string_view(url->encoded_host()), port));
    request.set(http::field::content_type, "application/json");
    request.set(http::field::connection, "close");
    if (!api_key_.empty()) request.set(http::field::authorization, "Bearer " + api_key_);
    request.body() = body;
    request.prepare_payload();
    http::write(socket, request, error);
    if (error) return unreachable(error);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMostBytes);
    http::read(socket, buffer, parser, error);
    if (error) return unreachable(error);
    const auto& response = parser.get();
    if (response.result_int() != 200) {
        return fail(ErrorCode::kUnavailable, message_of(response.result_int(), response.body()));
    }
    return response.body();
}

}  // namespace sutazai::cli
