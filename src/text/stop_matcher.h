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
///
/// What is generated may hold hidden pieces, which are no part of the text: names of control tokens. Stop strings are
/// looked for in the text; those `with_hidden` are looked for in all that is generated, too.
class StopMatcher {
  public:
    StopMatcher() = default;  ///< matches nothing, holds nothing back
    /// Empty strings are left out.
    explicit StopMatcher(std::vector<std::string> stops, std::vector<std::string> with_hidden = {});

    /// Appends to `out` what can be released for sure: all but the longest suffix that is a proper prefix of a stop
    /// string, or what comes before the match. True once a stop string has been found; then nothing comes out any more.
    bool push(std::string_view piece, std::string& out);

    /// The same for a hidden piece, of which nothing comes out.
    bool push_hidden(std::string_view piece, std::string& out);

    /// The text has ended without a match: appends what was held back.
    void finish(std::string& out);

    [[nodiscard]] bool matched() const { return matched_; }
    /// The stop string that was found; empty: none.
    [[nodiscard]] const std::string& match() const { return match_; }

  private:
    struct Automaton {
        std::string stop;
        std::vector<std::uint32_t> border;  // border[n]: longest proper prefix of stop[0..n) that is its suffix too
        std::uint32_t state = 0;            // bytes of `stop` that the text ends with
        bool sees_hidden = false;
    };
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    void add(std::string stop, bool sees_hidden);
    [[nodiscard]] std::size_t step(char byte, bool hidden);
    [[nodiscard]] std::size_t text_bytes(const Automaton& automaton) const;
    [[nodiscard]] std::size_t to_hold() const;

    std::vector<Automaton> automata_;
    std::bitset<256> first_bytes_;
    std::string recent_;        ///< for each of the last bytes generated, 'h' where it was hidden; only with such stops
    std::size_t n_recent_ = 0;  ///< the longest of these stops
    std::string held_;
    bool matched_ = false;
    std::string match_;
};

}  // namespace sutazai::text
