#include "catalog/ollama_name.h"

#include <algorithm>
#include <cstddef>

namespace sutazai::catalog {
namespace {

constexpr std::size_t kMaxPart = 80;
constexpr std::size_t kMaxHost = 350;

enum class Part : unsigned char { kHost, kNamespace, kModel, kTag };

bool is_word_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

bool is_valid(Part part, std::string_view text) {
    if (text.empty() || text.size() > (part == Part::kHost ? kMaxHost : kMaxPart)) return false;
    if (!is_word_character(text.front())) return false;
    return std::ranges::all_of(text, [part](char c) {
        if (c == '.') return part != Part::kNamespace;
        if (c == ':') return part == Part::kHost;
        return c == '-' || is_word_character(c);
    });
}

bool is_valid(const OllamaName& name) {
    return is_valid(Part::kHost, name.host) && is_valid(Part::kNamespace, name.name_space) &&
           is_valid(Part::kModel, name.model) && is_valid(Part::kTag, name.tag);
}

/// Cuts what stands behind the last `separator` off. False when there is no separator.
bool cut_last(std::string_view& text, char separator, std::string& out) {
    const auto at = text.rfind(separator);
    out = at == std::string_view::npos ? text : text.substr(at + 1);
    text = text.substr(0, at == std::string_view::npos ? 0 : at);
    return at != std::string_view::npos;
}

bool equal_in_any_case(std::string_view a, std::string_view b) {
    return in_small_letters(a) == in_small_letters(b);
}

}  // namespace

std::string OllamaName::shortest() const {
    std::string out;
    const bool own_host = !equal_in_any_case(host, kDefaultHost);
    if (own_host) out = host + "/";
    if (own_host || !equal_in_any_case(name_space, kDefaultNamespace)) out += name_space + "/";
    return out + model + ":" + tag;
}

std::string OllamaName::full() const {
    return host + "/" + name_space + "/" + model + ":" + tag;
}

std::string OllamaName::path() const {
    return host + "/" + name_space + "/" + model + "/" + tag;
}

std::string OllamaName::key() const {
    return in_small_letters(full());
}

std::optional<OllamaName> parse_ollama_name(std::string_view text) {
    OllamaName out{std::string(kDefaultHost), std::string(kDefaultNamespace), {}, std::string(kDefaultTag)};
    const auto colon = text.rfind(':');
    const auto slash = text.rfind('/');
    // A port stands before a "/", a tag behind the last one.
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        cut_last(text, ':', out.tag);
    }
    if (cut_last(text, '/', out.model) && cut_last(text, '/', out.name_space)) {
        if (const auto scheme = text.find("://"); scheme != std::string_view::npos) text.remove_prefix(scheme + 3);
        out.host = text;
    }
    return is_valid(out) ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<OllamaName> ollama_name_from_path(std::string_view path) {
    OllamaName out;
    if (!cut_last(path, '/', out.tag) || !cut_last(path, '/', out.model) || !cut_last(path, '/', out.name_space)) {
        return std::nullopt;
    }
    out.host = path;
    return is_valid(out) ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::string> parse_blob_digest(std::string_view text) {
    constexpr std::string_view kAlgorithm = "sha256";
    constexpr std::size_t kDigits = 64;
    if (text.size() != kAlgorithm.size() + 1 + kDigits || !text.starts_with(kAlgorithm)) return std::nullopt;
    if (text[kAlgorithm.size()] != ':' && text[kAlgorithm.size()] != '-') return std::nullopt;
    std::string digits = in_small_letters(text.substr(kAlgorithm.size() + 1));
    const bool is_hex =
        std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return is_hex ? std::optional(std::move(digits)) : std::nullopt;
}

std::string in_small_letters(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

}  // namespace sutazai::catalog
