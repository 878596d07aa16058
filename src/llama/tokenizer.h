#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "sched/types.h"

struct llama_vocab;

namespace sutazai::llama {

/// A run of a prompt. Names of control tokens become those tokens only where `special`; elsewhere they are text.
struct TextPart {
    std::string_view text;
    bool special = true;
};

/// What is to become of a text of too many tokens.
enum class TooLong : std::uint8_t {
    kRefuse,
    kCut,  ///< its end is left out, but for the tokens that the model wants behind a text
};

/// Asked often by work that may take long, on the thread that does it: true ends it.
using CancelCheck = std::function<bool()>;

/// Texts to tokens: the same tokens as llama_tokenize gives, within bounded stack and in time that grows with the text.
///
/// llama.cpp's own way is a regular expression that recurses once a character, a list that is walked again for each
/// control token, and merges over the whole text at once. Here control tokens are found first, and what is between them
/// goes to llama.cpp in pieces of a few thousand bytes, cut where that changes nothing
/// (decisions/0022-tokenising-in-pieces.md).
///
/// Constant after construction; any thread.
class Tokenizer {
  public:
    /// `vocab` outlives this.
    explicit Tokenizer(const llama_vocab* vocab);

    /// The parts as one text, with the tokens that the model wants in front of and behind a text, but never twice.
    /// kContextOverflow when there are more than `most_tokens`, which is told before any work where the number of bytes
    /// tells it; kCancelled when `cancelled` said so. The message of the first is a clause: "the prompt has at least
    /// 5000 tokens".
    [[nodiscard]] Result<std::vector<sched::Token>> tokenize(std::span<const TextPart> parts, std::size_t most_tokens,
                                                             const CancelCheck& cancelled = {},
                                                             TooLong too_long = TooLong::kRefuse) const;

    /// The parts alone, with no token around them; fails as tokenize() does.
    [[nodiscard]] Result<std::vector<sched::Token>> tokenize_bare(std::span<const TextPart> parts,
                                                                  std::size_t most_tokens,
                                                                  const CancelCheck& cancelled = {}) const;
    [[nodiscard]] Result<std::vector<sched::Token>> tokenize_bare(TextPart part, std::size_t most_tokens,
                                                                  const CancelCheck& cancelled = {}) const {
        return tokenize_bare(std::span<const TextPart>(&part, 1), most_tokens, cancelled);
    }

    /// Does the text hold the name of a token that is not shown in output?
    [[nodiscard]] bool names_hidden_token(std::string_view text) const;

    /// The most bytes of text that one token stands for; 0 when one may stand for any number.
    [[nodiscard]] std::size_t longest_token_bytes() const { return longest_; }

  private:
    struct Special {
        sched::Token token;
        bool hidden;  ///< a control token: to be found only where parts are special
        bool strips_left, strips_right;
    };
    /// All special tokens whose names are so long.
    struct OfLength {
        std::size_t length;
        bool any_shown = false;  ///< one that is found everywhere
        std::bitset<256> first_bytes;
        std::unordered_map<std::string_view, Special> by_name;
    };
    struct Fragment {
        std::size_t begin, end;  ///< of the text
        sched::Token token;      ///< of its name; kText: there is none
    };
    struct Work;

    void run(std::span<const TextPart> parts, Work& work) const;
    [[nodiscard]] Result<void> check_least(std::span<const TextPart> parts, std::size_t most_tokens) const;
    void find_specials();
    void measure_tokens();
    [[nodiscard]] std::size_t least_tokens(std::span<const TextPart> parts) const;
    [[nodiscard]] const Special* special_at(const OfLength& group, std::string_view text, std::size_t at) const;
    void split(const OfLength& group, std::string_view text, const std::vector<bool>& special_bytes,
               std::vector<Fragment>& fragments) const;
    [[nodiscard]] std::vector<Fragment> partition(std::string_view text, std::span<const TextPart> parts) const;
    [[nodiscard]] std::vector<sched::Token> encode(std::string_view text, bool whole = false) const;
    void encode_merged(std::string_view text, Work& work) const;
    void encode_at_gaps(std::string_view text, Work& work) const;
    [[nodiscard]] std::size_t cut_before(std::string_view text, std::span<const sched::Token> tokens,
                                         std::size_t latest, std::size_t& n_tokens) const;

    const llama_vocab* vocab_;
    std::vector<OfLength> specials_;       ///< longest first
    std::vector<std::uint32_t> bytes_of_;  ///< by token: of the text that it stands for
    std::size_t longest_ = 0;
    bool counts_spaces_ = true;               ///< every space of a text is in some token
    bool prefixes_space_ = false;             ///< llama.cpp puts a space in front of each text
    std::size_t n_before_newline_ = 0;        ///< tokens that it makes where the text begins with the end of a line
    bool cuts_at_gaps_ = false;               ///< nothing is merged across a single space or the end of a line
    std::vector<sched::Token> front_, back_;  ///< what the model wants around a text
    std::unique_ptr<std::once_flag> told_ = std::make_unique<std::once_flag>();
};

}  // namespace sutazai::llama
