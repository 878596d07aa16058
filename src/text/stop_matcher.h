#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sutazai::text {

/// Ends a text before the first stop string, however the text is cut into pieces, and never lets a part of that stop
/// string out. The match that ends first counts; of several that end at the same byte the longest. Pure; one user at a
/// time. Each byte is looked at once (Knuth-Morris-Pratt, one automaton per stop string); what is held back is shorter
/// than the longest stop string. When stops and pieces are whole UTF-8 characters, so is all that is released.
class StopMatcher {
  public:
    StopMatcher() = default;                               ///< matches nothing, holds nothing back
    explicit StopMatcher(std::vector<std::string> stops);  ///< empty strings are left out

    /// Appends to `out` what can be released for sure: all but the longest suffix that is a proper prefix of a stop
    /// string, or what comes before the match. True once a stop string has been found; then nothing comes out any more.
    bool push(std::string_view piece, std::string& out);

    /// The text has ended without a match: appends what was held back.
    void finish(std::string& out);

    [[nodiscard]] bool matched() const { return matched_; }

  private:
    struct Automaton {
        std::string stop;
        std::vector<std::uint32_t> border;  // border[n]: longest proper prefix of stop[0..n) that is its suffix too
        std::uint32_t state = 0;            // bytes of `stop` that the text ends with
    };

    std::vector<Automaton> automata_;
    std::bitset<256> first_bytes_;
    std::string held_;
    bool matched_ = false;
};

}  // namespace sutazai::text
