#include "grammar/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "grammar/json_text.h"
#include "grammar/utf8_classes.h"

namespace sutazai::grammar {

namespace {

constexpr int kDeepest = 32;

CharClass digits() {
    return {{'0', '9'}};
}
CharClass word_chars() {
    return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
}
CharClass spaces() {
    return {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
            {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}

class Reader {
  public:
    explicit Reader(std::u32string pattern) : pattern_(std::move(pattern)) {}

    Checked<Expression> read() {
        const Expression anything = repeat(plain_char({{0, kLastChar}}), 0, kEndless);
        std::vector<Expression> choices;
        do {
            std::vector<Expression> parts;
            if (now() == '^') {
                ++at_;
            } else {
                parts.push_back(anything);
            }
            parts.push_back(read_sequence(0));
            if (now() == '$' && (at_ + 1 == pattern_.size() || pattern_[at_ + 1] == '|')) {
                ++at_;
            } else {
                parts.push_back(anything);
            }
            choices.push_back(sequence(std::move(parts)));
        } while (!failed() && skip('|'));
        if (now() == ')') is_none("a parenthesis that closes no group", at_);
        if (now() == '^' || now() == '$') cannot_have("^ or $ elsewhere than at its ends");
        if (failed()) return std::unexpected(std::move(*fault_));
        return choice(std::move(choices));
    }

  private:
    [[nodiscard]] bool failed() const { return fault_.has_value(); }
    [[nodiscard]] bool at_end() const { return at_ >= pattern_.size(); }
    [[nodiscard]] char32_t now() const { return at_end() ? U'\0' : pattern_[at_]; }
    bool skip(char32_t c) {
        if (at_end() || pattern_[at_] != c) return false;
        ++at_;
        return true;
    }
    /// The pattern is no regular expression: what is wrong, and at which place.
    void is_none(std::string_view why, std::size_t at) {
        if (failed()) return;
        fault_ =
            Fault{"has a pattern that is no regular expression", true, fmt::format("{}, at character {}", why, at + 1)};
    }
    void cannot_have(std::string_view what) {
        if (!failed()) fault_ = Fault{fmt::format("uses a pattern with {}", what)};
    }

    Expression read_choice(int depth) {
        std::vector<Expression> choices{read_sequence(depth)};
        while (!failed() && skip('|')) choices.push_back(read_sequence(depth));
        return choice(std::move(choices));
    }

    Expression read_sequence(int depth) {
        std::vector<Expression> parts;
        while (!failed() && !at_end()) {
            const char32_t c = now();
            if (c == '|' || c == ')' || c == '$' || c == '^') {
                if (depth > 0 && (c == '$' || c == '^')) cannot_have("^ or $ elsewhere than at its ends");
                break;
            }
            Expression atom = read_atom(depth);
            if (!failed()) parts.push_back(read_repeat(std::move(atom)));
        }
        return sequence(std::move(parts));
    }

    Expression read_atom(int depth) {
        const char32_t c = now();
        ++at_;
        switch (c) {
            case '(': return read_group(depth);
            case '[': return read_class();
            case '.': return plain_char(complement_of({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
            case '\\': return plain_char(read_escape(false));
            case '*':
            case '+':
            case '?': is_none("a repetition of nothing", at_ - 1); return nothing();
            default: return plain_char({{c, c}});
        }
    }

    Expression read_group(int depth) {
        const std::size_t begin = at_ - 1;
        if (depth == kDeepest) cannot_have(fmt::format("groups deeper than {}", kDeepest));
        if (skip('?')) read_kind_of_group();
        Expression inner = read_choice(depth + 1);
        if (!skip(')')) is_none("a group without an end", begin);
        return inner;
    }

    /// What follows "(?".
    void read_kind_of_group() {
        if (skip(':')) return;
        if (skip('=') || skip('!')) return cannot_have("a lookahead");
        if (now() == '-' || now() == 'i' || now() == 'm' || now() == 's') return cannot_have("modifiers");
        if (!skip('<')) return is_none("a kind of group that there is not", at_);
        if (skip('=') || skip('!')) return cannot_have("a lookbehind");
        const std::size_t begin = at_;
        const auto is_word = [](char32_t c) {
            return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') ||
                   ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        };
        while (is_word(now())) ++at_;
        const bool has_name = at_ > begin && !(pattern_[begin] >= '0' && pattern_[begin] <= '9');
        if (!skip('>') || !has_name) is_none("a group whose name is none", begin);
    }

    Expression read_repeat(Expression atom) {
        const char32_t c = now();
        const std::size_t begin = at_;
        std::uint32_t least = 0;
        std::uint32_t most = kEndless;
        if (c == '*' || c == '+' || c == '?') {
            ++at_;
            least = c == '+' ? 1 : 0;
            most = c == '?' ? 1 : kEndless;
        } else if (c != '{' || !read_counts(least, most)) {
            return atom;
        }
        if (most < least) is_none("a repetition that counts down", begin);
        skip('?');  // as few as possible: the same texts
        return repeat(std::move(atom), least, most);
    }

    std::uint32_t read_count() {
        std::uint64_t count = 0;
        while (now() >= '0' && now() <= '9') {
            count = std::min<std::uint64_t>(count * 10 + (now() - '0'), kEndless);
            ++at_;
        }
        return static_cast<std::uint32_t>(count);
    }

    /// {3}, {3,} or {3,5}. Others are characters like any.
    bool read_counts(std::uint32_t& least, std::uint32_t& most) {
        const std::size_t begin = at_++;
        const bool counts = now() >= '0' && now() <= '9';
        least = most = read_count();
        if (counts && skip(',')) most = now() == '}' ? kEndless : read_count();
        if (counts && pattern_[at_ - 1] != '{' && skip('}')) {
            if (least == kEndless) cannot_have("a repetition that no text reaches");
            return true;
        }
        at_ = begin;
        is_none("{ that begins no repetition, and is written \\{ where it is meant itself", begin);
        return false;
    }

    char32_t read_hex(int n) {
        char32_t value = 0;
        const std::size_t begin = at_;
        for (int i = 0; i < n; ++i, ++at_) {
            const char32_t c = now() | 0x20;
            if (c >= '0' && c <= '9' && now() == c) {
                value = value * 16 + (c - '0');
            } else if (c >= 'a' && c <= 'f') {
                value = value * 16 + (c - 'a' + 10);
            } else {
                is_none("an escape without its digits", begin);
                return 0;
            }
        }
        return value;
    }

    CharClass read_escape(bool in_class) {
        if (at_end()) {
            is_none("a backslash that escapes nothing", at_ - 1);
            return {};
        }
        const char32_t c = now();
        ++at_;
        switch (c) {
            case 'd': return digits();
            case 'D': return complement_of(digits());
            case 'w': return word_chars();
            case 'W': return complement_of(word_chars());
            case 's': return spaces();
            case 'S': return complement_of(spaces());
            case 't': return {{'\t', '\t'}};
            case 'n': return {{'\n', '\n'}};
            case 'r': return {{'\r', '\r'}};
            case 'f': return {{'\f', '\f'}};
            case 'v': return {{'\v', '\v'}};
            case '0': return {{0, 0}};
            case 'b':
                if (in_class) return {{'\b', '\b'}};
                cannot_have("a word boundary");
                return {};
            case 'c': {
                const char32_t letter = now() & ~char32_t{0x20};
                if (letter < 'A' || letter > 'Z') is_none("an escape that there is not", at_ - 1);
                ++at_;
                return {{letter % 32, letter % 32}};
            }
            case 'x': {
                const char32_t value = read_hex(2);
                return {{value, value}};
            }
            case 'u': return read_unicode();
            default: break;
        }
        if ((c >= '1' && c <= '9') || c == 'k') cannot_have("a reference back");
        if (c == 'p' || c == 'P') cannot_have("a Unicode property");
        if (c == 'B') cannot_have("a word boundary");
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter) is_none("an escape that there is not", at_ - 1);
        return {{c, c}};
    }

    CharClass read_unicode() {
        char32_t value = 0;
        const std::size_t begin = at_;
        if (skip('{')) {
            while (!at_end() && now() != '}' && value <= kLastChar) value = value * 16 + read_hex(1);
            if (!skip('}')) is_none("an escape without its digits", begin);
        } else {
            value = read_hex(4);
            const bool pair = value >= 0xD800 && value <= 0xDBFF && now() == '\\' && at_ + 1 < pattern_.size() &&
                              pattern_[at_ + 1] == 'u';
            if (pair) {
                at_ += 2;
                const char32_t low = read_hex(4);
                value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        if (value > kLastChar) is_none("an escape that is no character", begin);
        if (value >= 0xD800 && value <= 0xDFFF) cannot_have("half of a surrogate pair");
        if (failed()) return {};
        return {{value, value}};
    }

    Expression read_class() {
        const std::size_t begin = at_ - 1;
        const bool negated = skip('^');
        CharClass set;
        while (!failed() && now() != ']') {
            if (at_end()) {
                is_none("a class without an end", begin);
                break;
            }
            const std::size_t place = at_;
            CharClass first = read_class_atom();
            const bool is_range = now() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
            if (!failed() && is_range && single(first)) {
                ++at_;
                const CharClass last = read_class_atom();
                if (failed() || !single(last) || last.front().first < first.front().first) {
                    is_none("a range of characters that counts down", place);
                    break;
                }
                first.front().last = last.front().last;
            }
            set.insert(set.end(), first.begin(), first.end());
        }
        ++at_;
        return plain_char(negated ? complement_of(set) : normalized(std::move(set)));
    }

    CharClass read_class_atom() {
        const char32_t c = now();
        ++at_;
        if (c == '\\') return read_escape(true);
        return {{c, c}};
    }
    static bool single(const CharClass& set) { return set.size() == 1 && set.front().first == set.front().last; }

    std::u32string pattern_;
    std::size_t at_ = 0;
    std::optional<Fault> fault_;
};

}  // namespace

Checked<Expression> read_pattern(std::string_view pattern) {
    return Reader(characters_of(pattern)).read();
}

}  // namespace sutazai::grammar
