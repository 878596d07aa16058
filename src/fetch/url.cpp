#include "fetch/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "catalog/ollama_name.h"

namespace sutazai::fetch {
namespace {

constexpr std::size_t kMostBytes = 16 << 10;  // signed URLs are long

struct FreeUrl {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Parser = std::unique_ptr<CURLU, FreeUrl>;

std::string part_of(CURLU* parser, CURLUPart part, unsigned flags = 0) {
    char* text = nullptr;
    if (curl_url_get(parser, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
    std::string out(text);
    curl_free(text);
    return out;
}

Result<Url> read(CURLU* parser) {
    Url url;
    url.scheme = part_of(parser, CURLUPART_SCHEME);
    if (url.scheme != "http" && url.scheme != "https") {
        return fail(ErrorCode::kInvalidArgument, "a URL must begin with https:// or http://");
    }
    if (!part_of(parser, CURLUPART_USER).empty() || !part_of(parser, CURLUPART_PASSWORD).empty()) {
        return fail(ErrorCode::kInvalidArgument, "a URL must not hold a name or password; REGISTRY_AUTH is for those");
    }
    url.host = catalog::in_small_letters(part_of(parser, CURLUPART_HOST));
    const std::string port = part_of(parser, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    std::from_chars(port.data(), port.data() + port.size(), url.port);
    url.path = part_of(parser, CURLUPART_PATH);
    url.query = part_of(parser, CURLUPART_QUERY);
    // libcurl decodes %XX in a host, to whatever that is.
    const bool is_host = std::ranges::all_of(url.host, [](char c) {
        return c > ' ' && c <= '~' && std::string_view("%/?#@\\\"<>^`{|}").find(c) == std::string_view::npos;
    });
    if (url.host.empty() || url.port == 0 || !is_host)
        return fail(ErrorCode::kInvalidArgument, "a URL must name a host");
    return url;
}

/// `parser` holds the URL that a relative one is resolved against, or nothing.
Result<Url> parse(CURLU* parser, std::string_view text) {
    const bool is_plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
    const bool is_read = text.size() <= kMostBytes && is_plain &&
                         curl_url_set(parser, CURLUPART_URL, std::string(text).c_str(), 0) == CURLUE_OK;
    if (!is_read) return fail(ErrorCode::kInvalidArgument, "not a valid URL");
    return read(parser);
}

}  // namespace

std::string Url::authority() const {
    const bool is_usual = port == (is_secure() ? 443 : 80);
    return is_usual ? host : fmt::format("{}:{}", host, port);
}

std::string Url::text() const {
    return query.empty() ? shown() : fmt::format("{}?{}", shown(), query);
}

std::string Url::shown() const {
    return fmt::format("{}://{}{}", scheme, authority(), path);
}

Result<Url> parse_url(std::string_view text) {
    const Parser parser(curl_url());
    return parse(parser.get(), text);
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
    const Parser parser(curl_url());
    if (auto read = parse(parser.get(), base.text()); !read) return read;
    return parse(parser.get(), reference);
}

}  // namespace sutazai::fetch
