#include "grammar/pattern.h"

#include <fmt/format.h>

#include <algorithm>

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

    Result<Expression> read() {
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
        if (now() == ')') fail_with("closes a group that is not open");
        if (now() == '^' || now() == '$') fail_with("has ^ or $ elsewhere than at its ends");
        if (failed()) return fail(ErrorCode::kInvalidArgument, std::move(wrong_));
        return choice(std::move(choices));
    }

  private:
    [[nodiscard]] bool failed() const { return !wrong_.empty(); }
    [[nodiscard]] bool at_end() const { return at_ >= pattern_.size(); }
    [[nodiscard]] char32_t now() const { return at_end() ? U'\0' : pattern_[at_]; }
    bool skip(char32_t c) {
        if (at_end() || pattern_[at_] != c) return false;
        ++at_;
        return true;
    }
    void fail_with(std::string_view why) {
        if (wrong_.empty()) wrong_ = why;
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
                if (depth > 0 && (c == '$' || c == '^')) fail_with("has ^ or $ elsewhere than at its ends");
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
            case '?': fail_with("repeats nothing"); return nothing();
            default: return plain_char({{c, c}});
        }
    }

    Expression read_group(int depth) {
        if (depth == kDeepest) fail_with(fmt::format("nests deeper than {} groups", kDeepest));
        if (skip('?')) {
            if (now() == '<' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != '=' && pattern_[at_ + 1] != '!') {
                while (!at_end() && now() != '>') ++at_;
                ++at_;
            } else if (!skip(':')) {
                fail_with("looks ahead or behind");
            }
        }
        Expression inner = read_choice(depth + 1);
        if (!skip(')')) fail_with("has a group without an end");
        return inner;
    }

    Expression read_repeat(Expression atom) {
        const char32_t c = now();
        std::uint32_t least = 0;
        std::uint32_t most = kEndless;
        if (c == '*' || c == '+' || c == '?') {
            ++at_;
            least = c == '+' ? 1 : 0;
            most = c == '?' ? 1 : kEndless;
        } else if (c != '{' || !read_counts(least, most)) {
            return atom;
        }
        if (most < least) fail_with("has a repetition that counts down");
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
            if (least == kEndless) fail_with("has a repetition that no text reaches");
            return true;
        }
        at_ = begin;
        fail_with("has { that begins no repetition");
        return false;
    }

    char32_t read_hex(int n) {
        char32_t value = 0;
        for (int i = 0; i < n; ++i, ++at_) {
            const char32_t c = now() | 0x20;
            if (c >= '0' && c <= '9' && now() == c) {
                value = value * 16 + (c - '0');
            } else if (c >= 'a' && c <= 'f') {
                value = value * 16 + (c - 'a' + 10);
            } else {
                fail_with("has an escape without its digits");
                return 0;
            }
        }
        return value;
    }

    CharClass read_escape(bool in_class) {
        if (at_end()) {
            fail_with("ends with a backslash");
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
                fail_with("has a word boundary");
                return {};
            case 'c': {
                const char32_t letter = now() & ~char32_t{0x20};
                if (letter < 'A' || letter > 'Z') fail_with("has an unknown escape");
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
        if ((c >= '1' && c <= '9') || c == 'k') fail_with("refers back");
        if (c == 'p' || c == 'P') fail_with("asks for a Unicode property");
        if (c == 'B') fail_with("has a word boundary");
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter) fail_with("has an unknown escape");
        return {{c, c}};
    }

    CharClass read_unicode() {
        char32_t value = 0;
        if (skip('{')) {
            while (!at_end() && now() != '}' && value <= kLastChar) value = value * 16 + read_hex(1);
            if (!skip('}')) fail_with("has an escape without its digits");
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
        if (value > kLastChar || (value >= 0xD800 && value <= 0xDFFF)) {
            fail_with("has an escape that is no character");
            return {};
        }
        return {{value, value}};
    }

    Expression read_class() {
        const bool negated = skip('^');
        CharClass set;
        while (!failed() && now() != ']') {
            if (at_end()) {
                fail_with("has a class without an end");
                break;
            }
            CharClass first = read_class_atom();
            const bool is_range = now() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
            if (!failed() && is_range && single(first)) {
                ++at_;
                const CharClass last = read_class_atom();
                if (failed() || !single(last) || last.front().first < first.front().first) {
                    fail_with("has a class that counts down");
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
    std::string wrong_;
};

}  // namespace

Result<Expression> read_pattern(std::string_view pattern) {
    return Reader(characters_of(pattern)).read();
}

}  // namespace sutazai::grammar
