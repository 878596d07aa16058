#include "grammar/expression.h"

#include <algorithm>

namespace sutazai::grammar {

namespace {

constexpr CharRange kSurrogates{0xD800, 0xDFFF};

}  // namespace

CharClass normalized(CharClass set) {
    std::ranges::sort(set, {}, &CharRange::first);
    CharClass merged;
    for (const CharRange& range : set) {
        if (range.first > range.last) continue;
        if (!merged.empty() && range.first <= merged.back().last + 1) {
            merged.back().last = std::max(merged.back().last, range.last);
        } else {
            merged.push_back(range);
        }
    }
    CharClass out;
    for (const CharRange& range : merged) {
        if (range.first < kSurrogates.first)
            out.push_back({range.first, std::min<char32_t>(range.last, kSurrogates.first - 1)});
        if (range.last > kSurrogates.last)
            out.push_back({std::max<char32_t>(range.first, kSurrogates.last + 1), range.last});
    }
    return out;
}

CharClass complement_of(const CharClass& set) {
    CharClass out;
    char32_t next = 0;
    for (const CharRange& range : normalized(set)) {
        if (range.first > next) out.push_back({next, char32_t{range.first - 1}});
        next = range.last + 1;
    }
    if (next <= kLastChar) out.push_back({next, kLastChar});
    return normalized(std::move(out));
}

Expression nothing() {
    return {.kind = Expression::Kind::kNothing};
}

Expression text(std::string_view bytes) {
    return {.kind = Expression::Kind::kText, .text = std::string(bytes)};
}

Expression one_of(CharClass set) {
    set = normalized(std::move(set));
    if (set.empty()) return nothing();
    return {.kind = Expression::Kind::kClass, .set = std::move(set)};
}

Expression rule(RuleId id) {
    return {.kind = Expression::Kind::kRule, .number = id};
}

Expression repeat(Expression part, std::uint32_t least, std::uint32_t most) {
    if (most == 0) return text("");
    if (least == 1 && most == 1) return part;
    // (x{l,m}){p,q} is x{l*p,m*q} wherever the counts between leave no gap: without it the text could be cut in as many
    // ways as there are counts.
    if (part.kind == Expression::Kind::kRepeat && part.least <= 1 && part.most > part.least) {
        const std::uint64_t fewest = std::uint64_t{part.least} * least;
        const bool endless = part.most == kEndless || most == kEndless;
        const std::uint64_t highest = endless ? kEndless : std::uint64_t{part.most} * most;
        if (fewest < kEndless && highest <= kEndless) {
            part.least = static_cast<std::uint32_t>(fewest);
            part.most = static_cast<std::uint32_t>(highest);
            return part;
        }
    }
    Expression out{.kind = Expression::Kind::kRepeat, .least = least, .most = most};
    out.parts.push_back(std::move(part));
    return out;
}

Expression optional(Expression part) {
    return repeat(std::move(part), 0, 1);
}

Expression sequence(std::vector<Expression> parts) {
    if (parts.size() == 1) return std::move(parts.front());
    return {.kind = Expression::Kind::kSequence, .parts = std::move(parts)};
}

Expression choice(std::vector<Expression> parts) {
    if (parts.empty()) return nothing();
    if (parts.size() == 1) return std::move(parts.front());
    return {.kind = Expression::Kind::kChoice, .parts = std::move(parts)};
}

RuleId Rules::add(std::string name) {
    rules_.push_back({std::move(name), nothing()});
    return static_cast<RuleId>(rules_.size() - 1);
}

RuleId Rules::add(std::string name, Expression body) {
    rules_.push_back({std::move(name), std::move(body)});
    return static_cast<RuleId>(rules_.size() - 1);
}

}  // namespace sutazai::grammar
