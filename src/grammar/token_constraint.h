#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/token_trie.h"

namespace sutazai::grammar {

/// A text that follows a grammar, token by token. The end of a generation is no token here: may_end() tells whether it
/// may come. One thread at a time.
class TokenConstraint {
  public:
    /// `trie` outlives this. `most_bytes`: what positions, and sets of tokens, may take each; more is forgotten.
    TokenConstraint(std::shared_ptr<const Automaton> automaton, const TokenTrie& trie,
                    std::size_t most_bytes = std::size_t{16} << 20);

    enum class Answer : std::uint8_t { kNo, kYes, kTooDear };

    /// Goes to the beginning. False when that takes more than `work`.
    [[nodiscard]] bool start(Work& work);
    /// May this token come next?
    [[nodiscard]] Answer allows(std::int32_t token, Work& work);
    /// All that may come next, by token; null when that takes more than `work`. Valid until the next call. What was
    /// found out is kept: asking again goes on where it ended.
    [[nodiscard]] const std::vector<bool>* allowed(Work& work);
    /// The token has come. kNo and kTooDear leave everything as it is.
    [[nodiscard]] Answer accept(std::int32_t token, Work& work);
    /// Bytes have come that are no tokens of this text's own. The same.
    [[nodiscard]] Answer accept_text(std::string_view bytes, Work& work);
    [[nodiscard]] bool may_end() const { return matcher_.may_end(at_); }

  private:
    [[nodiscard]] Answer take(Matcher::Position to);
    [[nodiscard]] Matcher::Position after(std::int32_t token, Work& work);

    const TokenTrie& trie_;
    std::size_t most_bytes_;
    Matcher matcher_;
    Matcher::Position at_ = Matcher::kDead;
    std::unordered_map<Matcher::Position, std::vector<bool>> allowed_;  ///< by position
    // A walk over the vocabulary that has not come to its end.
    std::vector<Matcher::Position> path_;  ///< by depth
    std::vector<bool> walked_;             ///< what it has found; empty: there is none
    std::size_t next_node_ = 0;
};

}  // namespace sutazai::grammar
