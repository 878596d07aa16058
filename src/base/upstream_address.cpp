#include "base/upstream_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace sutazai {
namespace {

constexpr std::array kKinds{UpstreamKind::kOllama, UpstreamKind::kOpenAi, UpstreamKind::kSutazai};
constexpr std::size_t kMostBytes = 512;

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

bool read_host(std::string_view& text, std::string& host) {
    if (take(text, "[")) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return false;
        host = text.substr(0, end);
        text.remove_prefix(end + 1);
        return host.size() >= 2 && host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos;
    }
    const auto* const end = std::ranges::find_if_not(text, is_word);
    host.assign(text.begin(), end);
    text.remove_prefix(host.size());
    return !host.empty();
}

bool read_port(std::string_view& text, std::uint16_t& port) {
    if (!take(text, ":")) return true;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc() || port == 0) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool read_path(std::string_view text, std::string& path) {
    if (!text.empty() && text.front() != '/') return false;
    if (!std::ranges::all_of(text, [](char c) { return is_word(c) || c == '/' || c == '~'; })) return false;
    if (text.find("//") != std::string_view::npos || text.find("..") != std::string_view::npos) return false;
    while (text.ends_with('/')) text.remove_suffix(1);
    path = text;
    return true;
}

}  // namespace

const char* to_string(UpstreamKind kind) {
    switch (kind) {
        case UpstreamKind::kOllama: return "ollama";
        case UpstreamKind::kOpenAi: return "openai";
        case UpstreamKind::kSutazai: return "sutazai";
    }
    return "ollama";
}

std::string UpstreamAddress::authority() const {
    const std::string name = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
    return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

std::string UpstreamAddress::text() const {
    return fmt::format("{}+{}://{}{}", to_string(kind), tls ? "https" : "http", authority(), path);
}

Result<UpstreamAddress> parse_upstream(std::string_view text) {
    const auto wrong =
        fail(ErrorCode::kInvalidArgument,
             "ollama+URL, openai+URL or sutazai+URL, whose URL is http://host:port or https://host:port, "
             "perhaps with a path, and holds no name, password or query");
    UpstreamAddress out;
    const auto* const kind = std::ranges::find_if(
        kKinds, [&](UpstreamKind one) { return text.starts_with(fmt::format("{}+", to_string(one))); });
    if (kind == kKinds.end() || text.size() > kMostBytes) return wrong;
    out.kind = *kind;
    text.remove_prefix(text.find('+') + 1);
    out.tls = take(text, "https://");
    if (!out.tls && !take(text, "http://")) return wrong;
    out.port = out.tls ? 443 : 80;
    if (!read_host(text, out.host) || !read_port(text, out.port) || !read_path(text, out.path)) return wrong;
    if (out.kind == UpstreamKind::kOpenAi && out.path.empty()) out.path = "/v1";
    return out;
}

}  // namespace sutazai
