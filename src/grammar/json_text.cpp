#include "grammar/json_text.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <map>

#include "base/json_text.h"
#include "grammar/number_range.h"
#include "grammar/utf8_classes.h"

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

/// What a string may not hold as it is.
const CharClass kEscaped{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};

/// How a character is written plainly.
std::string written(char32_t c) {
    std::string character;
    append_utf8(c, character);
    std::string out;
    append_escaped(out, character);
    return out;
}

std::string number_text(const json::value& number) {
    if (!number.is_double()) return Decimal::of(number).text();
    const Decimal exact = Decimal::of(number);
    if (exact.whole.size() <= kMaxDigits && exact.fraction.size() <= kMaxDigits) return exact.text();
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.begin(), buffer.end(), number.get_double());
    return {buffer.data(), end.ptr};
}

Expression hex_digits(std::uint32_t n) {
    return repeat(one_of({{'0', '9'}, {'a', 'f'}, {'A', 'F'}}), n, n);
}

}  // namespace

Expression blank() {
    return optional(
        choice({text(" "), sequence({repeat(text("\n"), 1, 2), repeat(one_of({{' ', ' '}, {'\t', '\t'}}), 0, 20)})}));
}

Expression string_char() {
    const Expression d = one_of({{'d', 'd'}, {'D', 'D'}});
    // \u with four digits, of which the first two are no surrogate's; or both halves of a pair.
    Expression unit =
        choice({sequence({one_of({{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}}), hex_digits(3)}),
                sequence({d, one_of({{'0', '7'}}), hex_digits(2)}),
                sequence({d, one_of({{'8', '9'}, {'a', 'b'}, {'A', 'B'}}), hex_digits(2), text("\\u"), d,
                          one_of({{'c', 'f'}, {'C', 'F'}}), hex_digits(2)})});
    CharClass letters;
    for (const char c : std::string_view("\"\\/bfnrt"))
        letters.push_back({static_cast<char32_t>(c), static_cast<char32_t>(c)});
    return choice({one_of(complement_of(kEscaped)),
                   sequence({text("\\"), choice({one_of(letters), sequence({text("u"), std::move(unit)})})})});
}

Expression plain_char(const CharClass& set) {
    std::vector<Expression> choices;
    CharClass plain = complement_of(set);
    plain.insert(plain.end(), kEscaped.begin(), kEscaped.end());
    if (CharClass as_it_is = complement_of(plain); !as_it_is.empty()) choices.push_back(one_of(std::move(as_it_is)));
    CharClass escapes = kEscaped;
    const auto has_all_controls = [](const CharRange& range) { return range.first == 0 && range.last >= 0x1F; };
    if (std::ranges::any_of(normalized(set), has_all_controls)) {
        escapes.erase(escapes.begin());
        choices.push_back(
            sequence({text("\\"), choice({one_of({{'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}}),
                                          sequence({text("u00"), one_of({{'0', '1'}}), hex_digits(1)})})}));
    }
    for (const CharRange& range : set) {
        for (const CharRange& escaped : escapes) {
            for (char32_t c = std::max(range.first, escaped.first); c <= std::min(range.last, escaped.last); ++c) {
                choices.push_back(text(written(c)));
            }
        }
    }
    return choice(std::move(choices));
}

Expression string_text(std::string_view utf8) {
    std::string out = "\"";
    for (const char32_t c : characters_of(utf8)) out += written(c);
    return text(out + '"');
}

Expression value_text(const json::value& value) {
    if (value.is_string()) return string_text(value.get_string());
    if (value.is_null()) return text("null");
    if (value.is_bool()) return text(value.get_bool() ? "true" : "false");
    if (value.is_number()) return text(number_text(value));
    const bool list = value.is_array();
    std::vector<Expression> parts{text(list ? "[" : "{"), blank()};
    bool first = true;
    const auto separate = [&] {
        if (!first) {
            for (Expression part : {blank(), text(","), blank()}) parts.push_back(std::move(part));
        }
        first = false;
    };
    if (list) {
        for (const json::value& entry : value.get_array()) {
            separate();
            parts.push_back(value_text(entry));
        }
    } else {
        for (const auto& [name, member] : value.get_object()) {
            separate();
            for (Expression part : {string_text(name), blank(), text(":"), blank()}) parts.push_back(std::move(part));
            parts.push_back(value_text(member));
        }
    }
    if (!first) parts.push_back(blank());
    parts.push_back(text(list ? "]" : "}"));
    return sequence(std::move(parts));
}

Expression string_other_than(const std::vector<std::string>& names, Rules& rules) {
    const CharClass all{{0, kLastChar}};
    if (names.empty()) return sequence({text("\""), repeat(plain_char(all), 0, kEndless), text("\"")});
    // A tree of the names. From each node on: leave it by a character that no name has there, go on in it, or end
    // where no name does.
    struct Node {
        std::map<char32_t, std::size_t> next;
        bool is_name = false;
    };
    std::vector<Node> tree(1);
    for (const std::string& name : names) {
        std::size_t at = 0;
        for (const char32_t c : characters_of(name)) {
            const auto found = tree[at].next.find(c);
            if (found != tree[at].next.end()) {
                at = found->second;
                continue;
            }
            tree.emplace_back();
            tree[at].next.emplace(c, tree.size() - 1);
            at = tree.size() - 1;
        }
        tree[at].is_name = true;
    }
    const RuleId rest = rules.add("a string", sequence({repeat(plain_char(all), 0, kEndless), text("\"")}));
    const auto first = static_cast<RuleId>(rules.size());
    for (std::size_t i = 0; i < tree.size(); ++i) rules.add("another name");
    for (std::size_t i = 0; i < tree.size(); ++i) {
        std::vector<Expression> choices;
        CharClass known;
        for (const auto& [c, next] : tree[i].next) {
            known.push_back({c, c});
            choices.push_back(sequence({text(written(c)), rule(first + static_cast<RuleId>(next))}));
        }
        choices.push_back(sequence({plain_char(complement_of(known)), rule(rest)}));
        if (!tree[i].is_name) choices.push_back(text("\""));
        rules.define(first + static_cast<RuleId>(i), choice(std::move(choices)));
    }
    return sequence({text("\""), rule(first)});
}

}  // namespace sutazai::grammar
