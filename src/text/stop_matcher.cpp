#include "text/stop_matcher.h"

#include <algorithm>

namespace sutazai::text {

namespace {

std::vector<std::uint32_t> borders(std::string_view stop) {
    std::vector<std::uint32_t> border(stop.size() + 1, 0);
    std::uint32_t length = 0;
    for (std::size_t n = 1; n < stop.size(); ++n) {
        while (length > 0 && stop[n] != stop[length]) length = border[length];
        if (stop[n] == stop[length]) ++length;
        border[n + 1] = length;
    }
    return border;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, std::vector<std::string> with_hidden) {
    for (std::string& stop : stops) add(std::move(stop), false);
    for (std::string& stop : with_hidden) {
        n_recent_ = std::max(n_recent_, stop.size());
        add(std::move(stop), true);
    }
}

void StopMatcher::add(std::string stop, bool sees_hidden) {
    if (stop.empty()) return;
    first_bytes_.set(static_cast<std::uint8_t>(stop.front()));
    std::vector<std::uint32_t> border = borders(stop);
    automata_.push_back({std::move(stop), std::move(border), 0, sees_hidden});
}

/// How many bytes of the text are in what the automaton has matched.
std::size_t StopMatcher::text_bytes(const Automaton& automaton) const {
    if (!automaton.sees_hidden) return automaton.state;
    const auto matched = std::string_view(recent_).substr(recent_.size() - automaton.state);
    return static_cast<std::size_t>(std::ranges::count(matched, 't'));
}

/// Takes one byte. Where a stop string ends with it: how many bytes of the text are in it, else kNone.
std::size_t StopMatcher::step(char byte, bool hidden) {
    if (n_recent_ > 0) {
        if (recent_.size() >= 2 * n_recent_) recent_.erase(0, recent_.size() - n_recent_);
        recent_ += hidden ? 'h' : 't';
    }
    std::size_t found = kNone;
    for (Automaton& automaton : automata_) {
        if (hidden && !automaton.sees_hidden) continue;
        auto& [stop, border, state, sees_hidden] = automaton;
        while (state > 0 && (state == stop.size() || stop[state] != byte)) state = border[state];
        if (stop[state] == byte) ++state;
        if (state < stop.size()) continue;
        const std::size_t n = text_bytes(automaton);
        if (found != kNone && n <= found) continue;
        found = n;
        match_ = stop;
    }
    return found;
}

/// Bytes of the text that a stop string may still take.
std::size_t StopMatcher::to_hold() const {
    std::size_t n = 0;
    for (const Automaton& automaton : automata_) n = std::max(n, text_bytes(automaton));
    return n;
}

bool StopMatcher::push(std::string_view piece, std::string& out) {
    if (matched_) return true;
    if (automata_.empty()) {
        out += piece;
        return false;
    }
    // Of held_ + piece, appends the first `count` bytes to `out`.
    const auto release = [&](std::size_t count) {
        const std::size_t from_held = std::min(count, held_.size());
        out.append(held_, 0, from_held);
        held_.erase(0, from_held);
        out += piece.substr(0, count - from_held);
        piece.remove_prefix(count - from_held);
    };
    bool idle = held_.empty() && n_recent_ == 0;  // no automaton has begun
    for (std::size_t i = 0; i < piece.size(); ++i) {
        if (idle && !first_bytes_.test(static_cast<std::uint8_t>(piece[i]))) continue;
        idle = false;
        if (const std::size_t found = step(piece[i], false); found != kNone) {
            release(held_.size() + i + 1 - found);
            held_.clear();
            return matched_ = true;
        }
    }
    release(held_.size() + piece.size() - to_hold());
    held_ += piece;
    return false;
}

bool StopMatcher::push_hidden(std::string_view piece, std::string& out) {
    if (matched_ || n_recent_ == 0) return matched_;
    for (const char byte : piece) {
        if (const std::size_t found = step(byte, true); found != kNone) {
            out.append(held_, 0, held_.size() - found);
            held_.clear();
            return matched_ = true;
        }
    }
    const std::size_t n = held_.size() - to_hold();
    out.append(held_, 0, n);
    held_.erase(0, n);
    return false;
}

void StopMatcher::finish(std::string& out) {
    out += held_;
    held_.clear();
    for (Automaton& automaton : automata_) automaton.state = 0;
}

}  // namespace sutazai::text
