#include "grammar/automaton.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace sutazai::grammar {

using Kind = Automaton::State::Kind;

namespace {

/// States that a repetition is written out to. Longer ones are cut into rules that share their halves.
constexpr std::uint64_t kMostWrittenOut = 8192;

/// Work for a state: it is written, and looked at by each find_...().
constexpr std::int64_t kWorkPerState = 8;
/// For the bytes of one range of a class.
constexpr std::int64_t kWorkPerRange = 4;

}  // namespace

/// Writes expressions as states, from their end to their beginning.
class Automaton::Builder {
  public:
    Builder(Automaton& out, Work& work) : out_(out), work_(work) {}

    void add_rules(const Rules& rules) {
        for (std::size_t i = 0; i < rules.size(); ++i) out_.rules_.push_back({rules.name(static_cast<RuleId>(i))});
        for (std::size_t i = 0; i < rules.size() && !stopped(); ++i) {
            const auto id = static_cast<RuleId>(i);
            const std::int32_t start = write(rules.body(id), end_of(id));
            out_.rules_[i].start = start;
        }
    }
    [[nodiscard]] bool too_large() const { return out_.states_.size() > kMaxStates; }
    [[nodiscard]] const std::vector<ByteSet>& sets() const { return sets_; }

  private:
    /// A part that is repeated often: rules for so many times, and for up to so many times.
    struct Repeated {
        Expression part;
        std::uint64_t size;
        std::map<std::uint32_t, RuleId> exactly, up_to;
    };

    [[nodiscard]] bool stopped() const { return too_large() || work_.is_over(); }

    std::int32_t add(Kind kind, std::int32_t next, std::int32_t number) {
        if (too_large() || !work_.take(kWorkPerState)) return 0;
        out_.states_.push_back({kind, false, next, number});
        return static_cast<std::int32_t>(out_.states_.size() - 1);
    }
    std::int32_t end_of(RuleId id) { return add(Kind::kEnd, -1, id); }

    std::int32_t set_number(const ByteSet& set) {
        const auto [found, is_new] = set_numbers_.try_emplace(set, static_cast<std::int32_t>(sets_.size()));
        if (is_new) sets_.push_back(set);
        return found->second;
    }

    /// A state from which `e` leads to `next`.
    std::int32_t write(const Expression& e, std::int32_t next) {
        if (stopped()) return 0;
        switch (e.kind) {
            case Expression::Kind::kNothing: return add(Kind::kBytes, next, set_number({}));
            case Expression::Kind::kText:
                for (std::size_t i = e.text.size(); i > 0; --i) {
                    ByteSet one;
                    one.set(static_cast<unsigned char>(e.text[i - 1]));
                    next = add(Kind::kBytes, next, set_number(one));
                }
                return next;
            case Expression::Kind::kClass: return write_class(e.set, next);
            case Expression::Kind::kRule: return add(Kind::kRule, next, e.number);
            case Expression::Kind::kToken:
            case Expression::Kind::kTokenNot:
                out_.names_tokens_ = true;
                return add(e.kind == Expression::Kind::kToken ? Kind::kToken : Kind::kTokenNot, next, e.number);
            case Expression::Kind::kSequence:
                for (std::size_t i = e.parts.size(); i > 0; --i) next = write(e.parts[i - 1], next);
                return next;
            case Expression::Kind::kChoice: {
                std::int32_t start = write(e.parts.back(), next);
                for (std::size_t i = e.parts.size() - 1; i > 0; --i) {
                    const std::int32_t other = write(e.parts[i - 1], next);
                    start = add(Kind::kSplit, other, start);
                }
                return start;
            }
            case Expression::Kind::kRepeat: return write_repeat(e, next);
        }
        return next;
    }

    std::vector<std::vector<ByteSet>> bytes_of(const CharClass& set) {
        if (!work_.take(kWorkPerRange * static_cast<std::int64_t>(set.size()))) return {};
        return utf8_of(set);
    }

    /// States that `e` is written out to, at least.
    std::uint64_t size_of(const Expression& e) {
        std::uint64_t size = 0;
        switch (e.kind) {
            case Expression::Kind::kText: return e.text.size();
            case Expression::Kind::kClass:
                for (const auto& run : bytes_of(e.set)) size += run.size() + 1;
                return size;
            case Expression::Kind::kSequence:
            case Expression::Kind::kChoice:
                for (const Expression& part : e.parts) size += 1 + size_of(part);
                return size;
            case Expression::Kind::kRepeat: {
                const std::uint64_t times = e.most == kEndless ? std::uint64_t{e.least} + 1 : e.most;
                return std::min((size_of(e.parts.front()) + 1) * times, 4 * kMostWrittenOut);
            }
            default: return 1;
        }
    }

    std::int32_t write_class(const CharClass& set, std::int32_t next) {
        std::int32_t start = -1;
        for (const auto& run : bytes_of(set)) {
            std::int32_t at = next;
            for (std::size_t i = run.size(); i > 0; --i) at = add(Kind::kBytes, at, set_number(run[i - 1]));
            start = start < 0 ? at : add(Kind::kSplit, at, start);
        }
        return start;
    }

    std::int32_t write_repeat(const Expression& e, std::int32_t next) {
        const Expression& part = e.parts.front();
        const std::uint64_t size = size_of(part) + 1;
        const bool endless = e.most == kEndless;
        const std::uint32_t more = endless ? 0 : e.most - std::min(e.most, e.least);
        if (endless) {
            const std::int32_t loop = add(Kind::kSplit, -1, next);
            const std::int32_t body = write(part, loop);
            if (stopped()) return 0;
            out_.states_[static_cast<std::size_t>(loop)].next = body;
            next = loop;
        }
        if (size * (std::uint64_t{e.least} + more) <= kMostWrittenOut) {
            const std::int32_t end = next;
            for (std::uint32_t i = 0; i < more; ++i) next = add(Kind::kSplit, write(part, next), end);
            for (std::uint32_t i = 0; i < e.least; ++i) next = write(part, next);
            return next;
        }
        Repeated repeated{part, size, {}, {}};
        if (size > 2) {
            const RuleId shared = new_rule();
            start_rule(shared, part);
            repeated.part = rule(shared);
            repeated.size = 2;
        }
        if (more > 0) next = add(Kind::kRule, next, up_to(repeated, more));
        if (e.least > 0) next = add(Kind::kRule, next, exactly(repeated, e.least));
        return next;
    }

    RuleId new_rule() {
        out_.rules_.push_back({"a repetition"});
        return static_cast<RuleId>(out_.rules_.size() - 1);
    }
    void start_rule(RuleId id, const Expression& body) {
        const std::int32_t start = write(body, end_of(id));
        out_.rules_[static_cast<std::size_t>(id)].start = start;
    }

    RuleId exactly(Repeated& repeated, std::uint32_t times) {
        if (const auto known = repeated.exactly.find(times); known != repeated.exactly.end()) return known->second;
        const RuleId id = repeated.exactly[times] = new_rule();
        if (repeated.size * times <= kMostWrittenOut) {
            start_rule(id, repeat(repeated.part, times, times));
        } else {
            const RuleId first = exactly(repeated, times / 2);
            const RuleId second = exactly(repeated, times - times / 2);
            start_rule(id, sequence({rule(first), rule(second)}));
        }
        return id;
    }

    /// Up to a half, or a half and one more and up to the rest: each number of times in one way.
    RuleId up_to(Repeated& repeated, std::uint32_t times) {
        if (const auto known = repeated.up_to.find(times); known != repeated.up_to.end()) return known->second;
        const RuleId id = repeated.up_to[times] = new_rule();
        if (repeated.size * times <= kMostWrittenOut) {
            start_rule(id, repeat(repeated.part, 0, times));
        } else {
            const std::uint32_t half = times / 2;
            const RuleId less = up_to(repeated, half);
            const RuleId fixed = exactly(repeated, half + 1);
            const RuleId rest = up_to(repeated, times - half - 1);
            start_rule(id, choice({rule(less), sequence({rule(fixed), rule(rest)})}));
        }
        return id;
    }

    Automaton& out_;
    Work& work_;
    std::vector<ByteSet> sets_;
    std::unordered_map<ByteSet, std::int32_t> set_numbers_;
};

Result<Automaton> Automaton::of(const Rules& rules, Work& work) {
    Automaton out;
    Builder builder(out, work);
    builder.add_rules(rules);
    if (builder.too_large()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("is too large: written out, it has more than {} states", kMaxStates));
    }
    if (work.is_over()) return fail(ErrorCode::kCancelled, "takes too long to compile");
    out.states_.shrink_to_fit();
    out.find_classes(builder.sets());
    out.find_empty();
    out.find_useful();
    if (Result<void> ranked = out.find_ranks(); !ranked) return std::unexpected(std::move(ranked.error()));
    if (!out.state(out.start(0)).useful) return fail(ErrorCode::kInvalidArgument, "is met by no text at all");
    return out;
}

void Automaton::find_classes(const std::vector<ByteSet>& sets) {
    for (const ByteSet& set : sets) {
        // Classes of which only a part is in the set are cut in two.
        std::array<int, 256> inside{};
        std::array<int, 256> total{};
        std::array<int, 256> split{};
        for (std::size_t byte = 0; byte < 256; ++byte) {
            ++total[classes_[byte]];
            inside[classes_[byte]] += set[byte] ? 1 : 0;
        }
        std::array<std::uint8_t, 256> refined = classes_;
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint8_t old = classes_[byte];
            if (!set[byte] || inside[old] == total[old]) continue;
            if (split[old] == 0) split[old] = n_classes_++;
            refined[byte] = static_cast<std::uint8_t>(split[old]);
        }
        classes_ = refined;
    }
    by_class_.resize(sets.size());
    for (std::size_t i = 0; i < sets.size(); ++i) {
        for (std::size_t byte = 0; byte < 256; ++byte) by_class_[i][classes_[byte]] = sets[i][byte];
    }
}

/// Which rules may be empty. Each state is looked at once: calls wait for what they call.
void Automaton::find_empty() {
    std::vector<bool> reached(states_.size());
    std::vector<std::vector<std::int32_t>> waiting(rules_.size());
    std::vector<std::int32_t> work;
    const auto reach = [&](std::int32_t id) {
        if (id >= 0 && !reached[static_cast<std::size_t>(id)]) {
            reached[static_cast<std::size_t>(id)] = true;
            work.push_back(id);
        }
    };
    for (const Rule& rule : rules_) reach(rule.start);
    while (!work.empty()) {
        const State& at = state(work.back());
        work.pop_back();
        if (at.kind == Kind::kSplit) {
            reach(at.next);
            reach(at.number);
        } else if (at.kind == Kind::kRule) {
            if (may_be_empty(at.number)) {
                reach(at.next);
            } else {
                waiting[static_cast<std::size_t>(at.number)].push_back(at.next);
            }
        } else if (at.kind == Kind::kEnd && !may_be_empty(at.number)) {
            rules_[static_cast<std::size_t>(at.number)].may_be_empty = true;
            for (const std::int32_t next : waiting[static_cast<std::size_t>(at.number)]) reach(next);
        }
    }
}

/// From which states can a text reach the end of its rule? Backwards from the ends.
void Automaton::find_useful() {
    std::vector<std::vector<std::int32_t>> before(states_.size());  // what leads to a state
    std::vector<std::vector<std::int32_t>> calls(rules_.size());
    std::vector<std::vector<RuleId>> begins(states_.size());  // whose start a state is
    for (std::size_t i = 0; i < states_.size(); ++i) {
        const State& at = states_[i];
        const auto id = static_cast<std::int32_t>(i);
        const bool dead = at.kind == Kind::kBytes && by_class_[static_cast<std::size_t>(at.number)].none();
        if (at.next >= 0 && !dead) before[static_cast<std::size_t>(at.next)].push_back(id);
        if (at.kind == Kind::kSplit) before[static_cast<std::size_t>(at.number)].push_back(id);
        if (at.kind == Kind::kRule) calls[static_cast<std::size_t>(at.number)].push_back(id);
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        begins[static_cast<std::size_t>(rules_[i].start)].push_back(static_cast<RuleId>(i));
    }
    std::vector<std::int32_t> work;
    const auto mark = [&](std::int32_t id) {
        State& at = states_[static_cast<std::size_t>(id)];
        if (at.useful) return;
        if (at.kind == Kind::kRule && !(state(start(at.number)).useful && state(at.next).useful)) return;
        at.useful = true;
        work.push_back(id);
    };
    for (std::size_t i = 0; i < states_.size(); ++i) {
        if (states_[i].kind == Kind::kEnd) mark(static_cast<std::int32_t>(i));
    }
    while (!work.empty()) {
        const auto at = static_cast<std::size_t>(work.back());
        work.pop_back();
        for (const std::int32_t id : before[at]) mark(id);
        for (const RuleId id : begins[at]) {
            for (const std::int32_t call : calls[static_cast<std::size_t>(id)]) mark(call);
        }
    }
}

Result<void> Automaton::find_ranks() {
    // The rules that a rule can begin with.
    std::vector<std::vector<RuleId>> first(rules_.size());
    std::vector<std::int32_t> seen(states_.size(), -1);
    std::vector<std::int32_t> work;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const auto reach = [&](std::int32_t id) {
            if (seen[static_cast<std::size_t>(id)] == static_cast<std::int32_t>(i)) return;
            seen[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(i);
            work.push_back(id);
        };
        reach(rules_[i].start);
        while (!work.empty()) {
            const State& at = state(work.back());
            work.pop_back();
            if (at.kind == Kind::kSplit) {
                reach(at.next);
                reach(at.number);
            } else if (at.kind == Kind::kRule) {
                first[i].push_back(at.number);
                if (may_be_empty(at.number)) reach(at.next);
            }
        }
    }
    // Depth first; the order in which rules are left is the reverse of their rank.
    enum class Visit : std::uint8_t { kNew, kOpen, kDone };
    std::vector<Visit> visits(rules_.size(), Visit::kNew);
    std::vector<std::pair<RuleId, std::size_t>> path;
    auto rank = static_cast<std::int32_t>(rules_.size());
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        if (visits[i] != Visit::kNew) continue;
        visits[i] = Visit::kOpen;
        path.emplace_back(static_cast<RuleId>(i), 0);
        while (!path.empty()) {
            const auto at = static_cast<std::size_t>(path.back().first);
            if (path.back().second == first[at].size()) {
                visits[at] = Visit::kDone;
                rules_[at].rank = --rank;
                path.pop_back();
                continue;
            }
            const auto next = static_cast<std::size_t>(first[at][path.back().second++]);
            if (visits[next] == Visit::kOpen) {
                return fail(ErrorCode::kInvalidArgument,
                            fmt::format("begins with itself, without end, at {}", rules_[next].name));
            }
            if (visits[next] == Visit::kDone) continue;
            visits[next] = Visit::kOpen;
            path.emplace_back(static_cast<RuleId>(next), 0);
        }
    }
    return {};
}

bool Automaton::ends(std::int32_t id) const {
    return state(id).kind == Kind::kEnd;
}

}  // namespace sutazai::grammar
