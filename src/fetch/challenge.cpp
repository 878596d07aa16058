#include "fetch/challenge.h"

#include <algorithm>

#include "catalog/ollama_name.h"

namespace sutazai::fetch {
namespace {

constexpr std::size_t kMostBytes = 8 << 10;

bool is_token_character(char c) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           kMarks.find(c) != std::string_view::npos;
}

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    void skip(std::string_view characters) {
        text_.remove_prefix(std::min(text_.size(), text_.find_first_not_of(characters)));
    }
    std::string_view token() {
        const auto end = std::ranges::find_if_not(text_, is_token_character) - text_.begin();
        const std::string_view out = text_.substr(0, static_cast<std::size_t>(end));
        text_.remove_prefix(out.size());
        return out;
    }
    bool take(char c) {
        if (!text_.starts_with(c)) return false;
        text_.remove_prefix(1);
        return true;
    }
    /// Behind the opening quote.
    std::optional<std::string> quoted() {
        std::string out;
        while (!text_.empty()) {
            const char c = text_.front();
            text_.remove_prefix(1);
            if (c == '"') return out;
            if (c == '\\') {
                if (text_.empty()) break;
                out += text_.front();
                text_.remove_prefix(1);
            } else {
                out += c;
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] bool at_end() const { return text_.empty(); }
    [[nodiscard]] std::string_view rest() const { return text_; }
    void go_back(std::string_view rest) { text_ = rest; }

  private:
    std::string_view text_;
};

/// One challenge; the reader then stands at the next. Nothing when it cannot be read.
std::optional<Challenge> read_one(Reader& in) {
    Challenge out;
    in.skip(" \t,");
    out.scheme = catalog::in_small_letters(in.token());
    if (out.scheme.empty()) return std::nullopt;
    for (;;) {
        in.skip(" \t,");
        const std::string_view before = in.rest();
        const std::string name = catalog::in_small_letters(in.token());
        if (name.empty()) return in.at_end() ? std::optional(out) : std::nullopt;
        in.skip(" \t");
        if (!in.take('=')) {
            in.go_back(before);  // the next challenge's scheme
            return out;
        }
        in.skip(" \t");
        std::optional<std::string> value;
        if (in.take('"')) {
            value = in.quoted();
        } else {
            value = std::string(in.token());
        }
        if (!value) return std::nullopt;
        out.parameters.emplace(name, std::move(*value));
    }
}

}  // namespace

std::string Challenge::parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
}

std::optional<Challenge> parse_challenge(std::string_view header) {
    if (header.size() > kMostBytes) return std::nullopt;
    Reader in(header);
    while (!in.at_end()) {
        auto one = read_one(in);
        if (!one) return std::nullopt;
        if (one->scheme == "basic" || (one->scheme == "bearer" && !one->parameter("realm").empty())) return one;
    }
    return std::nullopt;
}

}  // namespace sutazai::fetch
