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

StopMatcher::StopMatcher(std::vector<std::string> stops) {
    for (std::string& stop : stops) {
        if (stop.empty()) continue;
        first_bytes_.set(static_cast<std::uint8_t>(stop.front()));
        std::vector<std::uint32_t> border = borders(stop);
        automata_.push_back({std::move(stop), std::move(border), 0});
    }
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
    std::size_t partial = held_.size();
    for (std::size_t i = 0; i < piece.size(); ++i) {
        if (partial == 0 && !first_bytes_.test(static_cast<std::uint8_t>(piece[i]))) continue;
        partial = 0;
        std::size_t found = 0;
        for (auto& [stop, border, state] : automata_) {
            while (state > 0 && stop[state] != piece[i]) state = border[state];
            if (stop[state] == piece[i]) ++state;
            if (state == stop.size()) found = std::max(found, stop.size());
            partial = std::max<std::size_t>(partial, state);
        }
        if (found > 0) {
            release(held_.size() + i + 1 - found);
            held_.clear();
            return matched_ = true;
        }
    }
    release(held_.size() + piece.size() - partial);
    held_ += piece;
    return false;
}

void StopMatcher::finish(std::string& out) {
    out += held_;
    held_.clear();
    for (Automaton& automaton : automata_) automaton.state = 0;
}

}  // namespace sutazai::text
