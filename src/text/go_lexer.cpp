#include "text/go_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

namespace sutazai::text::go {
namespace {

using Kind = Token::Kind;

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool begins_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, std::uint32_t code) {
    const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
        add(code);
    } else if (code < 0x800) {
        add(0xC0 | code >> 6U);
        add(0x80 | (code & 0x3FU));
    } else if (code < 0x10000) {
        add(0xE0 | code >> 12U);
        add(0x80 | (code >> 6U & 0x3FU));
        add(0x80 | (code & 0x3FU));
    } else {
        add(0xF0 | code >> 18U);
        add(0x80 | (code >> 12U & 0x3FU));
        add(0x80 | (code >> 6U & 0x3FU));
        add(0x80 | (code & 0x3FU));
    }
}

class Lexer {
  public:
    explicit Lexer(std::string_view source) : source_(source) {}

    Result<std::vector<Token>> run() {
        bool trims = false;  // the text that follows
        while (at_ < source_.size()) {
            const std::size_t open = std::min(source_.find("{{", at_), source_.size());
            std::string_view text = source_.substr(at_, open - at_);
            const std::size_t line = line_;
            line_ += static_cast<std::size_t>(std::ranges::count(text, '\n'));
            if (trims) text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
            const bool trims_before =
                open + 3 < source_.size() && source_[open + 2] == '-' && is_space(source_[open + 3]);
            if (trims_before) text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
            if (!text.empty()) tokens_.push_back({Kind::kText, line, std::string(text)});
            if (open == source_.size()) break;
            at_ = open + 2 + (trims_before ? 1 : 0);
            const auto closed = action();
            if (!closed) return std::unexpected(closed.error());
            trims = *closed;
        }
        tokens_.push_back({Kind::kEnd, line_});
        return std::move(tokens_);
    }

  private:
    [[nodiscard]] std::string_view rest() const { return source_.substr(at_); }

    void add(Kind kind, std::size_t n_bytes, std::string text = {}) {
        tokens_.push_back({kind, line_, std::move(text)});
        at_ += n_bytes;
    }

    /// To its end; true when what follows is trimmed.
    Result<bool> action() {
        std::size_t spaces = 0;
        while (at_ + spaces < source_.size() && is_space(source_[at_ + spaces])) ++spaces;
        if (rest().substr(spaces).starts_with("/*")) return comment(spaces);
        add(Kind::kOpen, 0);
        while (at_ < source_.size()) {
            if (rest().starts_with("}}")) {
                add(Kind::kClose, 2);
                return false;
            }
            const char c = source_[at_];
            if (is_space(c)) {
                std::size_t n = 0;
                while (at_ + n < source_.size() && is_space(source_[at_ + n])) ++n;
                if (source_.substr(at_ + n).starts_with("-}}")) {
                    add(Kind::kClose, n + 3);
                    return true;
                }
                const auto lines = std::ranges::count(rest().substr(0, n), '\n');
                add(Kind::kSpace, n);
                line_ += static_cast<std::size_t>(lines);
                continue;
            }
            if (auto taken = word(c); !taken) return std::unexpected(taken.error());
        }
        return wrong_at(line_, "an action has no end");
    }

    Result<bool> comment(std::size_t spaces) {
        const std::size_t end = source_.find("*/", at_ + spaces + 2);
        if (end == std::string_view::npos) return wrong_at(line_, "a comment has no end");
        line_ += static_cast<std::size_t>(std::ranges::count(source_.substr(at_, end - at_), '\n'));
        at_ = end + 2;
        if (rest().starts_with("}}")) {
            at_ += 2;
            return false;
        }
        const std::size_t text = rest().find_first_not_of(" \t\r\n");
        if (text == std::string_view::npos || text == 0 || !rest().substr(text).starts_with("-}}")) {
            return wrong_at(line_, "a comment is an action by itself");
        }
        at_ += text + 3;
        return true;
    }

    [[nodiscard]] std::size_t word_length(std::size_t from) const {
        std::size_t n = 0;
        while (at_ + from + n < source_.size() &&
               (begins_word(source_[at_ + from + n]) || is_digit(source_[at_ + from + n]))) {
            ++n;
        }
        return n;
    }

    Result<void> word(char c) {
        const char next = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
        if (c == '"') return quoted();
        if (c == '`') return raw();
        if (c == '\'') return character();
        if (c == '$') {
            const std::size_t n = word_length(1);
            add(Kind::kVariable, n + 1, std::string(source_.substr(at_ + 1, n)));
        } else if (c == '.' && begins_word(next)) {
            const std::size_t n = word_length(1);
            add(Kind::kField, n + 1, std::string(source_.substr(at_ + 1, n)));
        } else if (is_digit(c) || ((c == '-' || c == '+' || c == '.') && (is_digit(next) || next == '.'))) {
            return number();
        } else if (c == '.') {
            add(Kind::kDot, 1);
        } else if (begins_word(c)) {
            const std::size_t n = word_length(0);
            add(Kind::kWord, n, std::string(source_.substr(at_, n)));
        } else if (c == ':' && next == '=') {
            add(Kind::kDeclare, 2);
        } else if (c == '=') {
            add(Kind::kAssign, 1);
        } else if (c == '|') {
            add(Kind::kPipe, 1);
        } else if (c == '(') {
            add(Kind::kLeft, 1);
        } else if (c == ')') {
            add(Kind::kRight, 1);
        } else if (c == ',') {
            add(Kind::kComma, 1);
        } else {
            return wrong_at(line_, fmt::format("unexpected \"{}\"", c >= ' ' && c <= '~' ? c : '?'));
        }
        return {};
    }

    void add_literal(GoValue literal, std::size_t n_bytes) {
        tokens_.push_back({Kind::kLiteral, line_, {}, std::move(literal)});
        at_ += n_bytes;
    }

    Result<void> number() {
        std::size_t n = 1;
        const auto belongs = [&](char c) {
            const char before = source_[at_ + n - 1];
            return is_digit(c) || c == '.' || c == '_' || begins_word(c) ||
                   ((c == '-' || c == '+') && (before == 'e' || before == 'E'));
        };
        while (at_ + n < source_.size() && belongs(source_[at_ + n])) ++n;
        std::string text(source_.substr(at_, n));
        if (text.starts_with('+')) text.erase(0, 1);
        std::erase(text, '_');
        std::int64_t whole = 0;
        const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
        const char* const begin = text.data() + (is_hex ? 2 : 0);
        const char* const end = text.data() + text.size();
        if (const auto read = std::from_chars(begin, end, whole, is_hex ? 16 : 10);
            read.ec == std::errc() && read.ptr == end && begin != end) {
            add_literal(GoValue(whole), n);
            return {};
        }
        double real = 0;
        if (const auto read = std::from_chars(text.data(), end, real); read.ec == std::errc() && read.ptr == end) {
            add_literal(GoValue(real), n);
            return {};
        }
        return wrong_at(line_, fmt::format("bad number \"{}\"", text.substr(0, 40)));
    }

    Result<void> raw() {
        const std::size_t end = source_.find('`', at_ + 1);
        if (end == std::string_view::npos) return wrong_at(line_, "a raw string has no end");
        std::string text(source_.substr(at_ + 1, end - at_ - 1));
        const auto lines = std::ranges::count(text, '\n');
        std::erase(text, '\r');
        add_literal(GoValue(std::move(text)), end + 1 - at_);
        line_ += static_cast<std::size_t>(lines);
        return {};
    }

    Result<void> quoted() {
        std::string text;
        std::size_t i = at_ + 1;
        while (i < source_.size() && source_[i] != '"') {
            if (source_[i] == '\n') return wrong_at(line_, "a string has no end");
            if (auto read = piece(i, text); !read) return read;
        }
        if (i >= source_.size()) return wrong_at(line_, "a string has no end");
        add_literal(GoValue(std::move(text)), i + 1 - at_);
        return {};
    }

    /// A character constant is a number.
    Result<void> character() {
        std::string text;
        std::size_t i = at_ + 1;
        while (i < source_.size() && source_[i] != '\'' && source_[i] != '\n') {
            if (auto read = piece(i, text); !read) return read;
        }
        if (i >= source_.size() || source_[i] != '\'' || text.empty()) return wrong_at(line_, "bad character constant");
        auto code = std::uint32_t{static_cast<unsigned char>(text[0])};
        const int more = code >= 0xF0 ? 3 : code >= 0xE0 ? 2 : code >= 0xC0 ? 1 : 0;
        if (more > 0) code &= 0x3FU >> static_cast<unsigned>(more);
        if (std::cmp_not_equal(text.size(), more + 1)) return wrong_at(line_, "bad character constant");
        for (int k = 1; k <= more; ++k)
            code = code << 6U | (static_cast<unsigned char>(text[static_cast<std::size_t>(k)]) & 0x3FU);
        add_literal(GoValue(std::int64_t{code}), i + 1 - at_);
        return {};
    }

    /// One character of a string, or what a backslash says.
    Result<void> piece(std::size_t& i, std::string& out) const {
        if (source_[i] != '\\') {
            out += source_[i++];
            return {};
        }
        constexpr std::string_view kLetters = "abfnrtv\\\"'";
        constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"'";
        const char letter = i + 1 < source_.size() ? source_[i + 1] : '\0';
        if (const std::size_t at = kLetters.find(letter); letter != '\0' && at != std::string_view::npos) {
            out += kMeanings[at];
            i += 2;
            return {};
        }
        const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 3;
        const std::size_t begin = digits == 3 ? i + 1 : i + 2;
        const std::string text(source_.substr(std::min(begin, source_.size()), digits));
        std::uint32_t code = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), code, digits == 3 ? 8 : 16);
        if (text.size() != digits || read.ec != std::errc() || read.ptr != text.data() + digits || code > 0x10FFFF) {
            return wrong_at(line_, "a string has an unknown escape");
        }
        i = begin + digits;
        if (digits <= 3) {
            out += static_cast<char>(code);
        } else {
            append_utf8(out, code);
        }
        return {};
    }

    std::string_view source_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> lex(std::string_view source) {
    return Lexer(source).run();
}

std::unexpected<Error> wrong_at(std::size_t line, std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {}", line, what));
}

}  // namespace sutazai::text::go
