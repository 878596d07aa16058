#include "grammar/matcher.h"

#include <algorithm>

namespace sutazai::grammar {

namespace {

using Kind = Automaton::State::Kind;
using Pair = std::uint64_t;

Pair pair_of(std::int32_t state, std::int32_t node) {
    return (static_cast<Pair>(static_cast<std::uint32_t>(state)) << 32) | static_cast<std::uint32_t>(node);
}
std::int32_t state_of(Pair pair) {
    return static_cast<std::int32_t>(pair >> 32);
}
std::int32_t node_of(Pair pair) {
    return static_cast<std::int32_t>(pair & 0xFFFFFFFFU);
}

std::uint64_t mix(std::uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

constexpr auto kLaterRank = [](const auto& a, const auto& b) { return a.rank > b.rank; };

}  // namespace

void Matcher::Seen::clear() {
    count_ = 0;
    if (++epoch_ == 0) {
        std::ranges::fill(table_, std::pair<Pair, std::uint32_t>{});
        epoch_ = 1;
    }
}

bool Matcher::Seen::insert(Pair pair) {
    if (2 * ++count_ > table_.size()) grow();
    const std::size_t mask = table_.size() - 1;
    for (std::size_t at = mix(pair) & mask;; at = (at + 1) & mask) {
        if (table_[at].second != epoch_) {
            table_[at] = {pair, epoch_};
            return true;
        }
        if (table_[at].first == pair) {
            --count_;
            return false;
        }
    }
}

void Matcher::Seen::grow() {
    std::vector<std::pair<Pair, std::uint32_t>> old(table_.size() * 2);
    old.swap(table_);
    const std::size_t mask = table_.size() - 1;
    for (const auto& entry : old) {
        if (entry.second != epoch_) continue;
        std::size_t at = mix(entry.first) & mask;
        while (table_[at].second == epoch_) at = (at + 1) & mask;
        table_[at] = entry;
    }
}

std::size_t Matcher::Hash::operator()(std::int32_t id) const {
    const Span& span = (*spans)[static_cast<std::size_t>(id)];
    std::uint64_t hash = span.size * 2 + (span.may_end ? 1 : 0);
    for (std::size_t i = 0; i < span.size; ++i) hash = mix(hash ^ (*values)[span.begin + i]) + 0x9e3779b97f4a7c15ULL;
    return hash;
}

bool Matcher::Equal::operator()(std::int32_t a, std::int32_t b) const {
    const Span& left = (*spans)[static_cast<std::size_t>(a)];
    const Span& right = (*spans)[static_cast<std::size_t>(b)];
    const auto values_at = [&](const Span& span) { return std::span(*values).subspan(span.begin, span.size); };
    return left.may_end == right.may_end && std::ranges::equal(values_at(left), values_at(right));
}

Matcher::Matcher(std::shared_ptr<const Automaton> automaton)
    : automaton_(std::move(automaton)),
      n_classes_(static_cast<std::size_t>(automaton_->n_classes())),
      position_index_(16, Hash{&items_, &positions_}, Equal{&items_, &positions_}),
      node_index_(16, Hash{&returns_, &nodes_}, Equal{&returns_, &nodes_}) {
    merged_ = {kEndOfText};
    (void)intern_node(merged_);
}

std::span<const Matcher::Pair> Matcher::items(Position at) const {
    const Span& span = positions_[static_cast<std::size_t>(at)];
    return std::span(items_).subspan(span.begin, span.size);
}

std::span<const Matcher::Pair> Matcher::returns(Node node) const {
    const Span& span = nodes_[static_cast<std::size_t>(node)];
    return std::span(returns_).subspan(span.begin, span.size);
}

Matcher::Node Matcher::intern_node(std::vector<Pair>& returns) {
    nodes_.push_back({returns_.size(), returns.size(), false});
    returns_.insert(returns_.end(), returns.begin(), returns.end());
    const auto [found, is_new] = node_index_.insert(static_cast<Node>(nodes_.size() - 1));
    if (!is_new) {
        returns_.resize(nodes_.back().begin);
        nodes_.pop_back();
    }
    return *found;
}

Matcher::Position Matcher::intern_position(std::vector<Pair>& items, bool may_end) {
    if (items.empty() && !may_end) return kDead;
    positions_.push_back({items_.size(), items.size(), may_end});
    items_.insert(items_.end(), items.begin(), items.end());
    const auto [found, is_new] = position_index_.insert(static_cast<Position>(positions_.size() - 1));
    if (is_new) {
        steps_.resize(positions_.size() * n_classes_, kUnknown);
    } else {
        items_.resize(positions_.back().begin);
        positions_.pop_back();
    }
    return *found;
}

void Matcher::begin() {
    seen_.clear();
    to_follow_.clear();
    reached_.clear();
    calls_.clear();
    may_end_ = false;
}

void Matcher::reach(std::int32_t state, Node node) {
    if (!automaton_->state(state).useful) return;
    const Pair pair = pair_of(state, node);
    if (seen_.insert(pair)) to_follow_.push_back(pair);
}

/// What is reached without a byte more, but for the beginnings of rules. A list of returns that was made in this step
/// returns nothing new: rules that may be empty were passed over where they were called.
bool Matcher::follow(Work& work) {
    while (!to_follow_.empty()) {
        if (!work.take(1)) return false;
        const Pair pair = to_follow_.back();
        to_follow_.pop_back();
        const Node node = node_of(pair);
        const Automaton::State& at = automaton_->state(state_of(pair));
        switch (at.kind) {
            case Kind::kSplit:
                reach(at.next, node);
                reach(at.number, node);
                break;
            case Kind::kRule:
                calls_.push_back({automaton_->rank(at.number), at.number, at.next, node});
                std::ranges::push_heap(calls_, kLaterRank);
                if (automaton_->may_be_empty(at.number)) reach(at.next, node);
                break;
            case Kind::kEnd:
                if (!work.take(static_cast<std::int64_t>(returns(node).size()))) return false;
                for (const Pair back : returns(node)) {
                    if (back == kEndOfText) {
                        may_end_ = true;
                    } else {
                        reach(state_of(back), node_of(back));
                    }
                }
                break;
            default: reached_.push_back(pair);
        }
    }
    return true;
}

/// A rule is entered when all its callers are known: those that may begin with it come before it by rank.
bool Matcher::enter_rules(Work& work) {
    while (!calls_.empty()) {
        const RuleId rule = calls_.front().rule;
        merged_.clear();
        while (!calls_.empty() && calls_.front().rule == rule) {
            const Call call = calls_.front();
            std::ranges::pop_heap(calls_, kLaterRank);
            calls_.pop_back();
            if (automaton_->ends(call.next)) {  // the caller has nothing left to do: back to its own callers
                const auto its = returns(call.node);
                merged_.insert(merged_.end(), its.begin(), its.end());
            } else {
                merged_.push_back(pair_of(call.next, call.node));
            }
        }
        if (!work.take(static_cast<std::int64_t>(merged_.size()))) return false;
        std::ranges::sort(merged_);
        merged_.erase(std::ranges::unique(merged_).begin(), merged_.end());
        reach(automaton_->start(rule), intern_node(merged_));
        if (!follow(work)) return false;
    }
    return true;
}

Matcher::Position Matcher::finish(Work& work) {
    if (!follow(work) || !enter_rules(work)) return kTooDear;
    std::ranges::sort(reached_);
    return intern_position(reached_, may_end_);
}

Matcher::Position Matcher::start(Work& work) {
    begin();
    reach(automaton_->start(0), 0);
    return finish(work);
}

Matcher::Position Matcher::compute_step(Position from, std::uint8_t byte_class, Work& work) {
    if (!work.take(static_cast<std::int64_t>(items(from).size()) + 1)) return kTooDear;
    begin();
    for (const Pair item : items(from)) {
        const Automaton::State& at = automaton_->state(state_of(item));
        if (at.kind == Kind::kBytes && automaton_->takes(at.number, byte_class)) reach(at.next, node_of(item));
    }
    const Position to = finish(work);
    if (to != kTooDear) steps_[static_cast<std::size_t>(from) * n_classes_ + byte_class] = to;
    return to;
}

Matcher::Position Matcher::walk(Position from, std::string_view bytes, Work& work) {
    for (const char byte : bytes) {
        if (from < 0) break;
        from = step(from, static_cast<std::uint8_t>(byte), work);
    }
    return from;
}

Matcher::Position Matcher::step_token(Position from, std::int32_t token, bool has_text, Work& work) {
    if (!work.take(static_cast<std::int64_t>(items(from).size()) + 1)) return kTooDear;
    begin();
    for (const Pair item : items(from)) {
        const Automaton::State& at = automaton_->state(state_of(item));
        const bool taken = (at.kind == Kind::kToken && at.number == token) ||
                           (at.kind == Kind::kTokenNot && has_text && at.number != token);
        if (taken) reach(at.next, node_of(item));
    }
    return finish(work);
}

Matcher::NamedTokens Matcher::named_tokens(Position at) const {
    NamedTokens out;
    for (const Pair item : items(at)) {
        const Automaton::State& state = automaton_->state(state_of(item));
        if (state.kind == Kind::kToken) out.tokens.push_back(state.number);
        if (state.kind == Kind::kTokenNot) out.all_but.push_back(state.number);
    }
    return out;
}

Matcher::Position Matcher::either(Position a, Position b, Work& work) {
    if (!work.take(static_cast<std::int64_t>(items(a).size() + items(b).size()))) return kTooDear;
    begin();
    std::ranges::set_union(items(a), items(b), std::back_inserter(reached_));
    return intern_position(reached_, may_end(a) || may_end(b));
}

std::size_t Matcher::bytes() const {
    constexpr std::size_t kIndexEntry = 48;
    return (items_.size() + returns_.size()) * sizeof(Pair) + steps_.size() * sizeof(Position) +
           (positions_.size() + nodes_.size()) * (sizeof(Span) + kIndexEntry);
}

Matcher::Position Matcher::forget_all_but(Position at) {
    Matcher fresh(automaton_);
    // Lists return into older ones only, so that their numbers can be read off from the newest to the oldest.
    std::vector<bool> needed(nodes_.size());
    needed[0] = true;
    for (const Pair item : items(at)) needed[static_cast<std::size_t>(node_of(item))] = true;
    for (std::size_t node = nodes_.size(); node-- > 1;) {
        if (!needed[node]) continue;
        for (const Pair back : returns(static_cast<Node>(node))) {
            if (back != kEndOfText) needed[static_cast<std::size_t>(node_of(back))] = true;
        }
    }
    std::vector<Node> renamed(nodes_.size());
    const auto rename = [&](std::span<const Pair> pairs) {
        std::vector<Pair> out;
        for (const Pair pair : pairs) {
            out.push_back(
                pair == kEndOfText ? pair : pair_of(state_of(pair), renamed[static_cast<std::size_t>(node_of(pair))]));
        }
        std::ranges::sort(out);
        return out;
    };
    for (std::size_t node = 1; node < nodes_.size(); ++node) {
        if (!needed[node]) continue;
        std::vector<Pair> its = rename(returns(static_cast<Node>(node)));
        renamed[node] = fresh.intern_node(its);
    }
    std::vector<Pair> its = rename(items(at));
    const Position kept = fresh.intern_position(its, may_end(at));
    items_ = std::move(fresh.items_);
    returns_ = std::move(fresh.returns_);
    positions_ = std::move(fresh.positions_);
    nodes_ = std::move(fresh.nodes_);
    steps_ = std::move(fresh.steps_);
    // The indexes look into this matcher's vectors.
    position_index_.clear();
    node_index_.clear();
    for (std::size_t id = 0; id < positions_.size(); ++id) position_index_.insert(static_cast<Position>(id));
    for (std::size_t id = 0; id < nodes_.size(); ++id) node_index_.insert(static_cast<Node>(id));
    return kept;
}

}  // namespace sutazai::grammar
