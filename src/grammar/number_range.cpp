#include "grammar/number_range.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sutazai::grammar {

namespace {

using Bound = NumberRange::Bound;

Expression digit(char first, char last) {
    if (first > last) return nothing();
    return one_of({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
}
Expression digits(std::uint32_t least, std::uint32_t most) {
    return repeat(digit('0', '9'), least, most);
}

int compare_digits(const std::string& a, const std::string& b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    return a.compare(b);
}

std::string plus_one(std::string whole) {
    std::size_t i = whole.size();
    while (i > 0 && whole[i - 1] == '9') whole[--i] = '0';
    if (i == 0) return "1" + whole;
    ++whole[i - 1];
    return whole;
}

/// Of one that is not 0.
std::string minus_one(std::string whole) {
    std::size_t i = whole.size();
    while (whole[i - 1] == '0') whole[--i] = '9';
    --whole[i - 1];
    const std::size_t first = std::min(whole.find_first_not_of('0'), whole.size() - 1);
    return whole.substr(first);
}

const std::string& highest() {
    static const std::string nines(kMaxDigits, '9');
    return nines;
}

/// Runs of digits as long as both from one to the other.
Expression runs_between(const std::string& a, const std::string& b) {
    const auto n = static_cast<std::uint32_t>(a.size());
    if (a == b) return text(a);
    if (a == std::string(n, '0') && b == std::string(n, '9')) return digits(n, n);
    const std::string a_rest = a.substr(1);
    const std::string b_rest = b.substr(1);
    if (a[0] == b[0]) return sequence({text(a.substr(0, 1)), runs_between(a_rest, b_rest)});
    return choice({sequence({text(a.substr(0, 1)), runs_between(a_rest, std::string(n - 1, '9'))}),
                   sequence({digit(static_cast<char>(a[0] + 1), static_cast<char>(b[0] - 1)), digits(n - 1, n - 1)}),
                   sequence({text(b.substr(0, 1)), runs_between(std::string(n - 1, '0'), b_rest)})});
}

/// Natural numbers from one to the other.
Expression naturals_between(const std::string& least, std::string most) {
    if (compare_digits(most, highest()) > 0) most = highest();
    if (compare_digits(least, most) > 0) return nothing();
    std::vector<Expression> lengths;
    for (std::size_t n = least.size(); n <= most.size(); ++n) {
        const std::string first = n == least.size() ? least : "1" + std::string(n - 1, '0');
        const std::string last = n == most.size() ? most : std::string(n, '9');
        lengths.push_back(runs_between(first, last));
    }
    return choice(std::move(lengths));
}

/// Digits behind the point: none at all, some of these, or both.
struct Fraction {
    bool may_be_empty = false;
    Expression digits = nothing();

    [[nodiscard]] Expression written() const {
        Expression some = sequence({text("."), digits});
        return may_be_empty ? optional(std::move(some)) : some;
    }
    [[nodiscard]] Expression tail() const { return may_be_empty ? optional(digits) : digits; }
};

Fraction at_least(const std::string& bound, bool excluded) {
    std::vector<Expression> choices;
    choices.reserve(bound.size() + 1);
    for (std::size_t i = 0; i < bound.size(); ++i) {
        choices.push_back(
            sequence({text(bound.substr(0, i)), digit(static_cast<char>(bound[i] + 1), '9'), digits(0, kMaxDigits)}));
    }
    if (excluded) {
        choices.push_back(
            sequence({text(bound), repeat(text("0"), 0, kMaxDigits), digit('1', '9'), digits(0, kMaxDigits)}));
    } else {
        choices.push_back(sequence({text(bound), digits(bound.empty() ? 1 : 0, kMaxDigits)}));
    }
    return {bound.empty() && !excluded, choice(std::move(choices))};
}

Fraction at_most(const std::string& bound, bool excluded) {
    std::vector<Expression> choices;
    for (std::size_t i = 0; i < bound.size(); ++i) {
        if (i > 0) choices.push_back(text(bound.substr(0, i)));
        choices.push_back(
            sequence({text(bound.substr(0, i)), digit('0', static_cast<char>(bound[i] - 1)), digits(0, kMaxDigits)}));
    }
    if (!excluded) {
        choices.push_back(sequence({text(bound), repeat(text("0"), bound.empty() ? 1 : 0, kMaxDigits)}));
    }
    return {!bound.empty() || !excluded, choice(std::move(choices))};
}

Fraction between(const std::string& a, bool a_excluded, const std::string& b, bool b_excluded) {
    if (a == b) {
        if (a_excluded || b_excluded) return {};
        return {a.empty(), sequence({text(a), repeat(text("0"), a.empty() ? 1 : 0, kMaxDigits)})};
    }
    const std::size_t longer = std::max(a.size(), b.size());
    const std::string a_all = a + std::string(longer - a.size(), '0');
    const std::string b_all = b + std::string(longer - b.size(), '0');
    if (a_all > b_all) return {};
    const auto n = static_cast<std::size_t>(std::ranges::mismatch(a_all, b_all).in1 - a_all.begin());
    const auto rest = [](const std::string& of, std::size_t from) { return from < of.size() ? of.substr(from) : ""; };
    Fraction out;
    std::vector<Expression> choices;
    // Shorter than what both have in common: these are zeros, and so the lower bound itself.
    for (std::size_t i = 0; i <= n; ++i) {
        if (a_excluded || a.size() > i) continue;
        if (i == 0) {
            out.may_be_empty = true;
        } else {
            choices.push_back(text(a_all.substr(0, i)));
        }
    }
    const std::string common = a_all.substr(0, n);
    choices.push_back(sequence({text(common), digit(static_cast<char>(a_all[n] + 1), static_cast<char>(b_all[n] - 1)),
                                digits(0, kMaxDigits)}));
    choices.push_back(sequence({text(a_all.substr(0, n + 1)), at_least(rest(a, n + 1), a_excluded).tail()}));
    choices.push_back(sequence({text(b_all.substr(0, n + 1)), at_most(rest(b, n + 1), b_excluded).tail()}));
    out.digits = choice(std::move(choices));
    return out;
}

/// Numbers without a sign from `least` on, to `most` if there is one.
Expression magnitudes(const Bound& least, const std::optional<Bound>& most) {
    const std::string& from = least.value.whole;
    const bool open = !most || compare_digits(most->value.whole, highest()) > 0;
    const std::string to = open ? plus_one(highest()) : most->value.whole;
    if (compare_digits(from, to) > 0 || compare_digits(from, highest()) > 0) return nothing();
    if (from == to) {
        return sequence(
            {text(from),
             between(least.value.fraction, least.excluded, most->value.fraction, most->excluded).written()});
    }
    std::vector<Expression> choices{sequence({text(from), at_least(least.value.fraction, least.excluded).written()})};
    if (compare_digits(plus_one(from), to) < 0) {
        choices.push_back(sequence(
            {naturals_between(plus_one(from), minus_one(to)), Fraction{true, digits(1, kMaxDigits)}.written()}));
    }
    if (!open) {
        choices.push_back(sequence({text(to), at_most(most->value.fraction, most->excluded).written()}));
    }
    return choice(std::move(choices));
}

const Bound kZero{{false, "0", ""}, false};

Bound without_sign(Bound bound) {
    bound.value.negative = false;
    return bound;
}

/// The whole number at or above it, and at or below it, without the sign.
std::string up(const Bound& bound) {
    const Decimal& v = bound.value;
    if (v.negative) return bound.excluded && v.is_whole() ? minus_one(v.whole) : v.whole;
    return bound.excluded || !v.is_whole() ? plus_one(v.whole) : v.whole;
}
std::string down(const Bound& bound) {
    const Decimal& v = bound.value;
    if (!v.negative) return bound.excluded && v.is_whole() ? minus_one(v.whole) : v.whole;
    return bound.excluded || !v.is_whole() ? plus_one(v.whole) : v.whole;
}

}  // namespace

Decimal Decimal::of(const boost::json::value& number) {
    std::array<char, 400> buffer{};
    std::to_chars_result end{};
    if (const auto* i = number.if_int64()) {
        end = std::to_chars(buffer.begin(), buffer.end(), *i);
    } else if (const auto* u = number.if_uint64()) {
        end = std::to_chars(buffer.begin(), buffer.end(), *u);
    } else {
        end = std::to_chars(buffer.begin(), buffer.end(), number.get_double(), std::chars_format::fixed);
    }
    std::string_view digits(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
    Decimal out;
    out.negative = digits.starts_with('-');
    if (out.negative) digits.remove_prefix(1);
    const std::size_t point = std::min(digits.find('.'), digits.size());
    out.whole = digits.substr(0, point);
    out.fraction = digits.substr(std::min(point + 1, digits.size()));
    out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
    if (out.whole == "0" && out.fraction.empty()) out.negative = false;
    return out;
}

std::string Decimal::text() const {
    return (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

int compare(const Decimal& a, const Decimal& b) {
    if (a.negative != b.negative) return a.negative ? -1 : 1;
    int order = compare_digits(a.whole, b.whole);
    if (order == 0) order = a.fraction.compare(b.fraction);
    return a.negative ? -order : order;
}

void NumberRange::raise_least(Bound bound) {
    const int order = least ? compare(bound.value, least->value) : 1;
    if (order > 0 || (order == 0 && bound.excluded)) least = std::move(bound);
}

void NumberRange::lower_most(Bound bound) {
    const int order = most ? compare(bound.value, most->value) : -1;
    if (order < 0 || (order == 0 && bound.excluded)) most = std::move(bound);
}

Expression whole_numbers(const NumberRange& range) {
    std::vector<Expression> choices;
    const bool below_zero =
        range.most && (range.most->value.negative ||
                       (range.most->excluded && range.most->value.whole == "0" && range.most->value.is_whole()));
    const bool negative_least = !range.least || range.least->value.negative;
    if (!below_zero) {
        choices.push_back(
            naturals_between(negative_least ? "0" : up(*range.least), range.most ? down(*range.most) : highest()));
    }
    if (negative_least) {
        // Minus `from` to minus `to`.
        std::string from = "1";
        if (range.most && range.most->value.negative) from = down(*range.most);
        const std::string to = range.least ? up(*range.least) : highest();
        if (from == "0") from = "1";
        choices.push_back(sequence({text("-"), naturals_between(from, to)}));
    }
    return choice(std::move(choices));
}

Expression numbers(const NumberRange& range) {
    if (!range.least && !range.most) {
        Expression exponent = sequence({one_of({{'e', 'e'}, {'E', 'E'}}), optional(one_of({{'+', '+'}, {'-', '-'}})),
                                        repeat(digit('0', '9'), 1, 2)});
        return sequence({optional(text("-")), naturals_between("0", highest()),
                         Fraction{true, digits(1, kMaxDigits)}.written(), optional(std::move(exponent))});
    }
    std::vector<Expression> choices;
    const bool negative_most = range.most && range.most->value.negative;
    const bool negative_least = !range.least || range.least->value.negative;
    if (!negative_most) choices.push_back(magnitudes(negative_least ? kZero : *range.least, range.most));
    if (negative_least) {
        Bound from = kZero;
        from.excluded = true;
        if (negative_most) from = without_sign(*range.most);
        std::optional<Bound> to;
        if (range.least) to = without_sign(*range.least);
        choices.push_back(sequence({text("-"), magnitudes(from, to)}));
    }
    return choice(std::move(choices));
}

}  // namespace sutazai::grammar
