#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "http/content_coding.h"
#include "http/exchange.h"
#include "http/services.h"
#include "serve/heavy.h"

/// Bodies of requests and answers: large ones are read and written beside the I/O thread.
namespace sutazai::http {

/// Whether reading it may take more than a millisecond, however short it is: a schema becomes an automaton. Names may
/// be written with escapes.
[[nodiscard]] inline bool may_hold_schema(std::string_view body) {
    constexpr auto kAbsent = std::string_view::npos;
    return body.find("schema") != kAbsent || body.find("format") != kAbsent || body.find("grammar") != kAbsent ||
           body.find("\\u00") != kAbsent;
}

/// The request's body, decoded and given to `parse`; the exchange has none afterwards. `parse` takes a string_view and
/// returns a Result. What it holds must be trivial: g++ 12 destroys it twice.
template <typename Parse>
[[nodiscard]] boost::asio::awaitable<std::invoke_result_t<Parse&, std::string_view>> parse_body(Services& services,
                                                                                                Exchange& exchange,
                                                                                                Parse parse) {
    static_assert(std::is_trivially_destructible_v<Parse>);
    Request& request = exchange.request();
    const bool gzip = is_gzip(request.content_encoding);
    const bool is_heavy =
        gzip || request.body.text().size() > serve::kLightBytes || may_hold_schema(request.body.text());
    const std::size_t bytes = is_heavy ? serve::kLightBytes + 1 : 0;
    auto work = [body = std::exchange(request.body, {}), gzip, limit = services.settings.max_body_bytes,
                 parse]() mutable -> std::invoke_result_t<Parse&, std::string_view> {
        // The body goes with this, here and not on the I/O thread.
        HeldBody whole = std::move(body);
        if (gzip) {
            auto decoded = gunzip(whole.text(), limit, whole.sibling());
            if (!decoded) return std::unexpected(std::move(decoded.error()));
            whole = std::move(*decoded);
        }
        return parse(whole.text());
    };
    co_return co_await serve::run_by_size(services.pool, bytes, work);
}

/// Sends the JSON that `encode` makes, a named callable that is moved from and owns all that it touches. `bytes` of it,
/// roughly.
template <typename Encode>
[[nodiscard]] boost::asio::awaitable<Result<void>> send_made(Services& services, Exchange& exchange, unsigned status,
                                                             std::size_t bytes, Encode& encode) {
    const Result<std::string> body = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(status, *body);
}

}  // namespace sutazai::http
