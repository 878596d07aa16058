#include "grammar/json_containers.h"

#include <algorithm>
#include <utility>

#include "grammar/json_text.h"

namespace sutazai::grammar {
namespace {

/// The number of members from which on no more are told apart.
std::uint32_t most_told_apart(const CountRange& count) {
    return std::max({count.most == kEndless ? 0 : count.most, count.least, 1U});
}

}  // namespace

Expression comma() {
    return sequence({blank(), text(","), blank()});
}

Expression colon() {
    return sequence({blank(), text(":"), blank()});
}

Expression array_text(const CountRange& count, std::size_t n_first,
                      const std::function<Expression(std::size_t place)>& item, Rules& rules) {
    // From the end: what may follow i items, the closing bracket included.
    const Expression end = sequence({blank(), text("]")});
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(n_first, count.most));
    const std::uint32_t more = count.most == kEndless ? kEndless : count.most - n;
    const std::uint32_t least = count.least - std::min(count.least, n);
    if (n == 0) {
        if (more == 0) return sequence({text("["), blank(), text("]")});
        const Expression one = item(0);
        Expression others =
            repeat(sequence({comma(), one}), least == 0 ? 0 : least - 1, more == kEndless ? kEndless : more - 1);
        Expression some = sequence({one, std::move(others), end});
        if (least == 0) some = choice({text("]"), std::move(some)});
        return sequence({text("["), blank(), std::move(some)});
    }
    Expression rest = end;
    if (more > 0) rest = sequence({repeat(sequence({comma(), item(n)}), least, more), end});
    for (std::uint32_t i = n; i-- > 0;) {
        Expression next = sequence({i == 0 ? text("") : comma(), item(i), rule(rules.add("items", std::move(rest)))});
        if (i >= count.least) next = choice({i == 0 ? text("]") : end, std::move(next)});
        rest = std::move(next);
    }
    return sequence({text("["), blank(), std::move(rest)});
}

std::uint64_t counts_told_apart(const CountRange& count) {
    return std::uint64_t{most_told_apart(count)} + 1;
}

Expression object_text(const CountRange& count, const std::vector<MemberText>& members,
                       const std::optional<Expression>& other, Rules& rules) {
    // after[c]: what may follow when c members have come, from the last place to the first.
    const std::uint32_t cap = most_told_apart(count);
    std::vector<RuleId> after(std::size_t{cap} + 1);
    const auto next = [&](std::uint32_t c) { return rule(after[std::min(c + 1, cap)]); };
    const auto may_add = [&](std::uint32_t c) { return count.most == kEndless || c < count.most; };
    const auto begin = [&](std::uint32_t c) { return c == 0 ? text("") : comma(); };
    for (RuleId& id : after) id = rules.add("other members");
    for (std::uint32_t c = 0; c <= cap; ++c) {
        std::vector<Expression> choices;
        if (c >= count.least) choices.push_back(c == 0 ? text("}") : sequence({blank(), text("}")}));
        if (other && may_add(c)) choices.push_back(sequence({begin(c), *other, next(c)}));
        rules.define(after[c], choice(std::move(choices)));
    }
    for (std::size_t i = members.size(); i-- > 0;) {
        std::vector<RuleId> here(std::size_t{cap} + 1);
        const std::uint32_t most_before = std::min(cap, static_cast<std::uint32_t>(i));
        for (std::uint32_t c = 0; c <= most_before; ++c) {
            std::vector<Expression> choices;
            if (may_add(c)) choices.push_back(sequence({begin(c), members[i].text, next(c)}));
            if (!members[i].is_required) choices.push_back(rule(after[c]));
            here[c] = rules.add("members", choice(std::move(choices)));
        }
        after = std::move(here);
    }
    return sequence({text("{"), blank(), rule(after[0])});
}

}  // namespace sutazai::grammar
