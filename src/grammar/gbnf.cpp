#include "grammar/gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "grammar/utf8_classes.h"

namespace sutazai::grammar {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || is_digit(c);
}

/// By recursive descent. What is wrong first is kept; everything returns at once then.
class Reader {
  public:
    Reader(std::string_view gbnf, const TokenNamed& token_named) : gbnf_(gbnf), token_named_(token_named) {}

    Result<Rules> read() {
        rule_named("root");  // is rule 0
        skip_space(true);
        while (!failed() && !at_end()) read_rule();
        for (std::size_t i = 0; i < defined_.size() && !failed(); ++i) {
            if (!defined_[i]) {
                wrong_ = fmt::format("has no rule {}", rules_.name(static_cast<RuleId>(i)));
            }
        }
        if (failed()) return fail(ErrorCode::kInvalidArgument, std::move(wrong_));
        return std::move(rules_);
    }

  private:
    [[nodiscard]] bool failed() const { return !wrong_.empty(); }
    [[nodiscard]] bool at_end() const { return at_ >= gbnf_.size(); }
    [[nodiscard]] char now() const { return at_end() ? '\0' : gbnf_[at_]; }
    [[nodiscard]] bool comes(std::string_view what) const { return gbnf_.substr(at_).starts_with(what); }

    void fail_here(std::string_view why) {
        if (failed()) return;
        const auto end = gbnf_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, gbnf_.size()));
        wrong_ = fmt::format("does not parse in line {}: {}", 1 + std::count(gbnf_.begin(), end, '\n'), why);
    }

    RuleId rule_named(std::string_view name) {
        const auto known = names_.find(name);
        if (known != names_.end()) return known->second;
        const RuleId id = rules_.add(std::string(name));
        defined_.push_back(false);
        names_.emplace(name, id);
        return id;
    }

    void skip_space(bool newlines) {
        while (!at_end()) {
            const char c = now();
            if (c == '#') {
                while (!at_end() && now() != '\n' && now() != '\r') ++at_;
            } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
                ++at_;
            } else {
                return;
            }
        }
    }

    std::string_view read_name() {
        const std::size_t begin = at_;
        while (is_word(now())) ++at_;
        if (at_ == begin) fail_here("a name is expected");
        return gbnf_.substr(begin, at_ - begin);
    }

    void read_rule() {
        const std::string_view name = read_name();
        if (failed()) return;
        const RuleId id = rule_named(name);
        skip_space(false);
        if (!comes("::=")) return fail_here("::= is expected");
        at_ += 3;
        skip_space(true);
        Expression body = read_choice(0);
        if (failed()) return;
        if (!at_end() && now() != '\n' && now() != '\r') return fail_here("the end of the rule is expected");
        rules_.define(id, std::move(body));
        defined_[static_cast<std::size_t>(id)] = true;
        skip_space(true);
    }

    Expression read_choice(int depth) {
        std::vector<Expression> choices;
        choices.push_back(read_sequence(depth));
        while (!failed() && now() == '|') {
            ++at_;
            skip_space(true);
            choices.push_back(read_sequence(depth));
        }
        return choice(std::move(choices));
    }

    Expression read_sequence(int depth) {
        std::vector<Expression> parts;
        while (!failed() && !at_end()) {
            const char c = now();
            if (c == '*' || c == '+' || c == '?' || c == '{') {
                if (parts.empty()) {
                    fail_here(fmt::format("{} follows nothing", c));
                    break;
                }
                read_repeat(parts.back());
            } else if (c == '"') {
                parts.push_back(read_text());
            } else if (c == '[') {
                parts.push_back(read_class());
            } else if (c == '.') {
                ++at_;
                parts.push_back(one_of({{0, kLastChar}}));
            } else if (c == '<' || c == '!') {
                parts.push_back(read_token());
            } else if (c == '(') {
                if (depth == kMaxGbnfDepth) {
                    fail_here(fmt::format("parentheses nest deeper than {}", kMaxGbnfDepth));
                    break;
                }
                ++at_;
                skip_space(true);
                parts.push_back(read_choice(depth + 1));
                if (now() != ')') fail_here(") is expected");
                ++at_;
            } else if (is_word(c)) {
                parts.push_back(rule(rule_named(read_name())));
            } else {
                break;
            }
            skip_space(depth > 0);
        }
        return sequence(std::move(parts));
    }

    std::uint32_t read_count() {
        std::uint64_t count = 0;
        if (!is_digit(now())) fail_here("a number is expected");
        while (is_digit(now())) {
            count = std::min<std::uint64_t>(count * 10 + static_cast<std::uint64_t>(now() - '0'), kEndless);
            ++at_;
        }
        return static_cast<std::uint32_t>(count);
    }

    void read_repeat(Expression& part) {
        const char c = now();
        ++at_;
        std::uint32_t least = c == '+' ? 1 : 0;
        std::uint32_t most = c == '?' ? 1 : kEndless;
        if (c == '{') {
            skip_space(true);
            least = most = read_count();
            // A count this high is never reached.
            if (least == kEndless) fail_here("a text cannot repeat so often");
            skip_space(true);
            if (now() == ',') {
                ++at_;
                skip_space(true);
                most = is_digit(now()) ? read_count() : kEndless;
                skip_space(true);
            }
            if (now() != '}') fail_here("} is expected");
            ++at_;
            if (most < least) fail_here("a repetition counts down");
        }
        if (!failed()) part = repeat(std::move(part), least, most);
    }

    Expression read_text() {
        ++at_;
        std::string bytes;
        while (!failed() && now() != '"') {
            if (at_end()) {
                fail_here("a string does not end");
                break;
            }
            append_utf8(read_char(), bytes);
        }
        ++at_;
        return text(bytes);
    }

    Expression read_class() {
        ++at_;
        const bool negated = now() == '^';
        if (negated) ++at_;
        CharClass set;
        const std::size_t begin = at_;
        while (!failed() && now() != ']') {
            if (at_end()) {
                fail_here("a class does not end");
                break;
            }
            const char32_t first = read_char();
            char32_t last = first;
            if (now() == '-' && at_ + 1 < gbnf_.size() && gbnf_[at_ + 1] != ']') {
                ++at_;
                last = read_char();
            }
            set.push_back({first, last});
        }
        // As llama.cpp has it, a class without anything in it is the empty text.
        const bool empty = at_ == begin;
        ++at_;
        if (empty) return text("");
        return one_of(negated ? complement_of(set) : std::move(set));
    }

    char32_t read_hex(int digits) {
        char32_t value = 0;
        for (int i = 0; i < digits; ++i, ++at_) {
            const char c = now();
            const char lower = static_cast<char>(c | 0x20);
            if (is_digit(c)) {
                value = value * 16 + static_cast<char32_t>(c - '0');
            } else if (lower >= 'a' && lower <= 'f') {
                value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
            } else {
                fail_here(fmt::format("{} hexadecimal digits are expected", digits));
                return 0;
            }
        }
        if (value > kLastChar || (value >= 0xD800 && value <= 0xDFFF)) {
            fail_here("an escape names no character");
            return 0;
        }
        return value;
    }

    char32_t read_char() {
        if (now() == '\\') {
            ++at_;
            const char c = now();
            ++at_;
            switch (c) {
                case 'x': return read_hex(2);
                case 'u': return read_hex(4);
                case 'U': return read_hex(8);
                case 't': return '\t';
                case 'r': return '\r';
                case 'n': return '\n';
                case '\\':
                case '"':
                case '[':
                case ']':
                case '-': return static_cast<char32_t>(c);
                default: fail_here("an escape is unknown"); return 0;
            }
        }
        const auto lead = static_cast<unsigned char>(now());
        const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
        const std::u32string character = characters_of(gbnf_.substr(at_, size));
        at_ += size;
        return character.front();
    }

    Expression read_token() {
        Expression out;
        out.kind = Expression::Kind::kToken;
        if (now() == '!') {
            out.kind = Expression::Kind::kTokenNot;
            ++at_;
        }
        const std::size_t end = gbnf_.find('>', at_);
        if (now() != '<' || end == std::string_view::npos) {
            fail_here("a token is expected, as <name> or <[number]>");
            return out;
        }
        const std::string_view name = gbnf_.substr(at_, end + 1 - at_);
        if (name.starts_with("<[")) {
            at_ += 2;
            const std::uint32_t number = read_count();
            if (!comes("]>") || number > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max())) {
                fail_here("a token is expected, as <name> or <[number]>");
            }
            out.number = static_cast<std::int32_t>(number);
        } else if (const auto number = token_named_ ? token_named_(name) : std::nullopt) {
            out.number = *number;
        } else {
            fail_here(fmt::format("{} is no token of this model", name));
        }
        at_ = end + 1;
        return out;
    }

    std::string_view gbnf_;
    const TokenNamed& token_named_;
    std::size_t at_ = 0;
    std::string wrong_;
    Rules rules_;
    std::vector<bool> defined_;
    std::map<std::string, RuleId, std::less<>> names_;
};

}  // namespace

Result<Rules> read_gbnf(std::string_view gbnf, const TokenNamed& token_named) {
    return Reader(gbnf, token_named).read();
}

}  // namespace sutazai::grammar
