#include "llama/tokenizer.h"

#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace sutazai::llama {
namespace {

using sched::Token;

constexpr Token kText = -1;
/// What goes to llama.cpp at once. Its regular expressions take 323 bytes of stack a character, of the usual 8 MiB.
constexpr std::size_t kPieceBytes = 4096;
constexpr std::size_t kLongestPieceBytes = 3 * kPieceBytes;
/// Text on both sides of a cut is read twice, to see that the cut changes nothing.
constexpr std::size_t kOverlapBytes = 256;
/// Some regular expressions look at a run of spaces again from each of its bytes: a piece ends with a longer run.
constexpr std::size_t kLongestRunOfSpaces = 192;
constexpr std::size_t kOverlapOfSpaces = 136;  // more than the longest token of spaces, which is 128
constexpr std::string_view kEscapedSpace = "\xe2\x96\x81";

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool begins_character(std::string_view text, std::size_t at) {
    return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
}

/// Bytes of common text: where each is a token by itself, none of them is left out. Others (controls, leading bytes of
/// rare planes) are not in every vocabulary.
bool is_counted(std::size_t byte) {
    return (byte >= 0x20 && byte <= 0x7e) || (byte >= 0x80 && byte <= 0xbf) || (byte >= 0xc3 && byte <= 0xef);
}

std::string_view name_of(const llama_vocab* vocab, Token token) {
    const char* name = llama_vocab_get_text(vocab, token);
    return name == nullptr ? std::string_view() : std::string_view(name);
}

}  // namespace

/// One call of tokenize(): what came out so far, and whether to go on.
struct Tokenizer::Work {
    std::vector<Token> tokens;
    std::size_t most_tokens = 0;
    const CancelCheck& cancelled;
    bool was_cancelled = false;
    bool is_whole = true;
    std::size_t digits_end = 0;  ///< of the run of digits that was looked at last

    [[nodiscard]] bool too_many() const { return tokens.size() > most_tokens; }
    [[nodiscard]] bool go_on() {
        was_cancelled = was_cancelled || (cancelled && cancelled());
        is_whole = is_whole && !was_cancelled && !too_many();
        return is_whole;
    }
    [[nodiscard]] std::size_t end_of_piece(std::string_view text, std::size_t begin, std::size_t n_bytes,
                                           std::size_t least);
    void add(std::span<const Token> more) { tokens.insert(tokens.end(), more.begin(), more.end()); }
};

Tokenizer::Tokenizer(const llama_vocab* vocab) : vocab_(vocab) {
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) return;
    find_specials();
    measure_tokens();
    const std::vector<Token> around = encode("", true);
    const bool front = llama_vocab_get_add_bos(vocab) || llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM;
    for (const Token token : around) (front && front_.empty() ? front_ : back_).push_back(token);
}

void Tokenizer::find_specials() {
    std::map<std::size_t, OfLength, std::greater<>> groups;
    const int n = llama_vocab_n_tokens(vocab_);
    for (Token token = 0; token < n; ++token) {
        const auto attributes = static_cast<unsigned>(llama_vocab_get_attr(vocab_, token));
        const bool hidden = (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
        if (!hidden && (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) == 0) continue;
        const std::string_view name = name_of(vocab_, token);
        if (name.empty()) continue;
        OfLength& group = groups[name.size()];
        group.length = name.size();
        group.any_shown |= !hidden;
        group.first_bytes.set(static_cast<unsigned char>(name.front()));
        group.by_name.try_emplace(name, Special{token, hidden, (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                                                (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0});
        counts_spaces_ &= (attributes & (LLAMA_TOKEN_ATTR_LSTRIP | LLAMA_TOKEN_ATTR_RSTRIP)) == 0;
    }
    for (auto& [length, group] : groups) specials_.push_back(std::move(group));
}

void Tokenizer::measure_tokens() {
    const int n = llama_vocab_n_tokens(vocab_);
    bytes_of_.resize(static_cast<std::size_t>(n));
    std::bitset<256> single;
    cuts_at_gaps_ = true;
    std::vector<char> buffer(256);
    for (Token token = 0; token < n; ++token) {
        int size = llama_token_to_piece(vocab_, token, buffer.data(), static_cast<int>(buffer.size()), 0, true);
        if (size < 0) {
            buffer.resize(static_cast<std::size_t>(-size));
            size = llama_token_to_piece(vocab_, token, buffer.data(), static_cast<int>(buffer.size()), 0, true);
        }
        bytes_of_[static_cast<std::size_t>(token)] = static_cast<std::uint32_t>(std::max(size, 0));
        longest_ = std::max(longest_, static_cast<std::size_t>(std::max(size, 0)));
        if (size == 1) single.set(static_cast<unsigned char>(buffer[0]));
        const std::string_view name = name_of(vocab_, token);
        std::size_t spaces = 0;
        while (name.substr(spaces).starts_with(kEscapedSpace)) spaces += kEscapedSpace.size();
        const auto attributes = static_cast<unsigned>(llama_vocab_get_attr(vocab_, token));
        if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_USER_DEFINED)) == 0) {
            cuts_at_gaps_ &= name.find(kEscapedSpace, spaces) == std::string_view::npos || spaces == name.size();
            cuts_at_gaps_ &= name.size() == 1 || name.find('\n') == std::string_view::npos;
        }
    }
    const auto type = llama_vocab_type(vocab_);
    cuts_at_gaps_ = (cuts_at_gaps_ && type == LLAMA_VOCAB_TYPE_SPM) || type == LLAMA_VOCAB_TYPE_WPM;
    if (type == LLAMA_VOCAB_TYPE_SPM) {
        prefixes_space_ = name_of(vocab_, encode("a").front()).starts_with(kEscapedSpace);
        n_before_newline_ = encode("\n").size() - 1;
    }
    // Some tokenizers leave out what they do not know, or make one token of it, however long it is.
    bool keeps_all = type == LLAMA_VOCAB_TYPE_SPM || type == LLAMA_VOCAB_TYPE_BPE;
    for (std::size_t byte = 0; byte < single.size(); ++byte) keeps_all &= !is_counted(byte) || single.test(byte);
    if (!keeps_all) longest_ = 0;
    const std::string_view spaced = "a  \n a";
    std::size_t n_bytes = 0;
    for (const Token token : encode(spaced)) n_bytes += bytes_of_[static_cast<std::size_t>(token)];
    counts_spaces_ &= n_bytes >= spaced.size();
}

std::size_t Tokenizer::least_tokens(std::span<const TextPart> parts) const {
    if (longest_ == 0) return 0;
    // Where white space may be left out, capitals may be, too.
    const auto counts = [&](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return is_counted(byte) && (counts_spaces_ || (byte > 0x20 && byte < 0x7f));
    };
    std::size_t n_bytes = 0;
    for (const TextPart& part : parts) n_bytes += static_cast<std::size_t>(std::ranges::count_if(part.text, counts));
    return (n_bytes + longest_ - 1) / longest_;
}

bool Tokenizer::names_hidden_token(std::string_view text) const {
    for (const OfLength& group : specials_) {
        for (std::size_t at = 0; at + group.length <= text.size(); ++at) {
            const Special* special = special_at(group, text, at);
            if (special != nullptr && special->hidden) return true;
        }
    }
    return false;
}

const Tokenizer::Special* Tokenizer::special_at(const OfLength& group, std::string_view text, std::size_t at) const {
    if (!group.first_bytes.test(static_cast<unsigned char>(text[at]))) return nullptr;
    const auto found = group.by_name.find(text.substr(at, group.length));
    return found == group.by_name.end() ? nullptr : &found->second;
}

/// Takes the names of one length out of the text that is left.
void Tokenizer::split(const OfLength& group, std::string_view text, const std::vector<bool>& special_bytes,
                      std::vector<Fragment>& fragments) const {
    std::vector<Fragment> out;
    out.reserve(fragments.size());
    for (const Fragment& fragment : fragments) {
        if (fragment.token != kText) {
            out.push_back(fragment);
            continue;
        }
        std::size_t rest = fragment.begin;
        std::size_t at = rest;
        while (at + group.length <= fragment.end) {
            const Special* special = special_at(group, text, at);
            if (special != nullptr && special->hidden) {
                // All of the name must be in parts where names count.
                for (std::size_t i = at; i < at + group.length && special != nullptr; ++i) {
                    if (!special_bytes[i]) special = nullptr;
                }
            }
            if (special == nullptr) {
                ++at;
                continue;
            }
            std::size_t end = at;
            while (special->strips_left && end > rest && is_space(text[end - 1])) --end;
            if (end > rest) out.push_back({rest, end, kText});
            out.push_back({at, at + group.length, special->token});
            at += group.length;
            while (special->strips_right && at < fragment.end && is_space(text[at])) ++at;
            rest = at;
        }
        if (rest < fragment.end) out.push_back({rest, fragment.end, kText});
    }
    fragments = std::move(out);
}

/// As llama.cpp does it: the longest names first, each from the left.
std::vector<Tokenizer::Fragment> Tokenizer::partition(std::string_view text, std::span<const TextPart> parts) const {
    std::vector<Fragment> fragments;
    if (!text.empty()) fragments.push_back({0, text.size(), kText});
    std::vector<bool> special_bytes;
    special_bytes.reserve(text.size());
    bool any_special = false;
    std::bitset<256> bytes;
    for (const TextPart& part : parts) {
        special_bytes.insert(special_bytes.end(), part.text.size(), part.special);
        any_special |= part.special && !part.text.empty();
        for (const char c : part.text) bytes.set(static_cast<unsigned char>(c));
    }
    for (const OfLength& group : specials_) {
        if (!any_special && !group.any_shown) continue;
        if ((group.first_bytes & bytes).any()) split(group, text, special_bytes, fragments);
    }
    return fragments;
}

std::vector<Token> Tokenizer::encode(std::string_view text, bool whole) const {
    std::vector<Token> tokens(text.size() / 2 + 8);
    const auto call = [&] {
        return llama_tokenize(vocab_, text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                              static_cast<std::int32_t>(tokens.size()), whole, false);
    };
    int n = call();
    if (n < 0) {
        tokens.resize(static_cast<std::size_t>(-n));
        n = call();
    }
    tokens.resize(static_cast<std::size_t>(std::max(n, 0)));
    return tokens;
}

/// The last place up to `latest` where `text`, whose tokens these are, can be cut: what is behind it makes the same
/// tokens by itself. Tokens of a part that is cut out at tokens' ends are the tokens of that part, because merges know
/// nothing but their neighbours; what must be seen is that the part behind is not split into other words. 0: nowhere.
std::size_t Tokenizer::cut_before(std::string_view text, std::span<const Token> tokens, std::size_t latest,
                                  std::size_t& n_tokens) const {
    constexpr int kTries = 24;
    std::vector<std::size_t> ends(tokens.size());
    std::size_t end = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) ends[i] = end += bytes_of_[static_cast<std::size_t>(tokens[i])];
    if (end != text.size()) return 0;  // some of it is not what tokens say of it: no UTF-8, for example
    int tries = 0;
    for (auto i = static_cast<std::size_t>(std::ranges::upper_bound(ends, latest) - ends.begin());
         i > 0 && tries < kTries; --i) {
        const std::size_t at = ends[i - 1];
        if (at == 0 || !begins_character(text, at)) continue;
        ++tries;
        if (std::ranges::equal(encode(text.substr(at)), tokens.subspan(i))) {
            n_tokens = i;
            return at;
        }
    }
    return 0;
}

/// Where a piece that begins at `begin` and holds about `n_bytes` ends; past the first `least` of them with a run of
/// spaces, if a long one ends there.
std::size_t Tokenizer::Work::end_of_piece(std::string_view text, std::size_t begin, std::size_t n_bytes,
                                          std::size_t least) {
    std::size_t end = std::min(text.size(), begin + n_bytes);
    for (std::size_t run = begin; run < end;) {
        std::size_t run_end = run;
        while (run_end < end && is_space(text[run_end])) ++run_end;
        if (run_end - run > kLongestRunOfSpaces && run_end - begin > least) return run_end;
        run = std::max(run_end, run + 1);
    }
    if (end == text.size()) return end;
    // Some tokenizers count a number's digits in threes from its right.
    if (is_digit(text[end - 1])) {
        digits_end = std::max(digits_end, end);
        while (digits_end < text.size() && is_digit(text[digits_end])) ++digits_end;
        end -= (3 - (digits_end - end) % 3) % 3;
    }
    for (int i = 0; i < 3 && !begins_character(text, end); ++i) --end;  // of UTF-8; of what is none, anywhere
    return end;
}

/// Text that is split into words, or not, and merged within them.
void Tokenizer::encode_merged(std::string_view text, Work& work) const {
    std::size_t least = 0;
    work.digits_end = 0;
    for (std::size_t begin = 0; begin < text.size() && work.go_on();) {
        const std::size_t end = work.end_of_piece(text, begin, least + kPieceBytes, least);
        const std::string_view piece = text.substr(begin, end - begin);
        const std::vector<Token> tokens = encode(piece);
        if (end == text.size()) {
            work.add(tokens);
            return;
        }
        const std::size_t overlap = is_space(piece.back()) ? kOverlapOfSpaces : kOverlapBytes;
        std::size_t n_tokens = tokens.size();
        std::size_t cut = piece.size() > overlap ? cut_before(piece, tokens, piece.size() - overlap, n_tokens) : 0;
        if (cut == 0 && piece.size() < kLongestPieceBytes) {
            least = piece.size();
            continue;
        }
        // Where it cannot be cut, it is no text that anybody writes, and its tokens may be others than in one piece.
        if (cut == 0) cut = piece.size();
        work.add(std::span(tokens).first(n_tokens));
        begin += cut;
        least = 0;
    }
}

/// Text of which nothing is merged across a single space between other characters, nor across the end of a line.
void Tokenizer::encode_at_gaps(std::string_view text, Work& work) const {
    const bool words = llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM;  // which know no spaces at all
    const auto can_cut = [&](std::size_t at) {
        if (words) return is_space(text[at]);
        if (text[at] == '\n') return true;
        return text[at] == ' ' && text[at - 1] != ' ' && at + 1 < text.size() && text[at + 1] != ' ';
    };
    for (std::size_t begin = 0; begin < text.size() && work.go_on();) {
        std::size_t end = std::min(text.size(), begin + kPieceBytes);
        while (end < text.size() && !can_cut(end)) ++end;
        std::string_view piece = text.substr(begin, end - begin);
        std::size_t n_skipped = 0;
        if (begin > 0 && prefixes_space_) {
            // The space that llama.cpp puts in front is this one, or makes tokens of its own before a line's end.
            if (piece.front() == ' ') {
                piece.remove_prefix(1);
            } else {
                n_skipped = n_before_newline_;
            }
        }
        const std::vector<Token> tokens = encode(piece);
        work.add(std::span(tokens).subspan(n_skipped));
        begin = end;
    }
}

/// The tokens of the parts, with none around them.
void Tokenizer::run(std::span<const TextPart> parts, Work& work) const {
    std::string joined;
    std::string_view text;
    if (parts.size() == 1) {
        text = parts.front().text;
    } else {
        for (const TextPart& part : parts) joined += part.text;
        text = joined;
    }
    const auto type = llama_vocab_type(vocab_);
    for (const Fragment& fragment : partition(text, parts)) {
        if (!work.go_on()) break;
        if (fragment.token != kText) {
            work.tokens.push_back(fragment.token);
            continue;
        }
        const std::string_view piece = text.substr(fragment.begin, fragment.end - fragment.begin);
        if (type == LLAMA_VOCAB_TYPE_BPE || (type == LLAMA_VOCAB_TYPE_SPM && !prefixes_space_)) {
            encode_merged(piece, work);
        } else if (cuts_at_gaps_) {
            encode_at_gaps(piece, work);
        } else {
            work.add(encode(piece));
        }
    }
}

Result<void> Tokenizer::check_least(std::span<const TextPart> parts, std::size_t most_tokens) const {
    const std::size_t least = least_tokens(parts);
    if (least <= most_tokens) return {};
    return fail(ErrorCode::kContextOverflow,
                fmt::format("the prompt has at least {} tokens (none of this model stands for more than {} bytes)",
                            least, longest_));
}

Result<std::vector<Token>> Tokenizer::tokenize_bare(std::span<const TextPart> parts, std::size_t most_tokens,
                                                    const CancelCheck& cancelled) const {
    if (auto checked = check_least(parts, most_tokens); !checked) return std::unexpected(std::move(checked.error()));
    Work work{.most_tokens = most_tokens, .cancelled = cancelled};
    run(parts, work);
    if (work.was_cancelled) return fail(ErrorCode::kCancelled, "the request was cancelled");
    if (work.too_many()) {
        return fail(ErrorCode::kContextOverflow, fmt::format("the prompt has at least {} tokens", work.tokens.size()));
    }
    return std::move(work.tokens);
}

Result<std::vector<Token>> Tokenizer::tokenize(std::span<const TextPart> parts, std::size_t most_tokens,
                                               const CancelCheck& cancelled, TooLong too_long) const {
    const bool cut = too_long == TooLong::kCut;
    if (!cut) {
        if (auto checked = check_least(parts, most_tokens); !checked)
            return std::unexpected(std::move(checked.error()));
    }
    Work work{.most_tokens = most_tokens, .cancelled = cancelled};
    run(parts, work);
    if (work.was_cancelled) return fail(ErrorCode::kCancelled, "the request was cancelled");
    std::vector<Token>& tokens = work.tokens;
    const auto tell = [&](Token token) {
        std::call_once(*told_, [&] {
            spdlog::info("a prompt has {} of its own where this model gets one; there is no second (said once)",
                         name_of(vocab_, token));
        });
    };
    if (!front_.empty() && !tokens.empty() && tokens.front() == front_.front()) {
        tell(front_.front());
    } else {
        tokens.insert(tokens.begin(), front_.begin(), front_.end());
    }
    if (cut) tokens.resize(std::min(tokens.size(), most_tokens - std::min(most_tokens, back_.size())));
    if (!back_.empty() && !tokens.empty() && tokens.back() == back_.back()) {
        tell(back_.back());
    } else {
        tokens.insert(tokens.end(), back_.begin(), back_.end());
    }
    if (work.too_many()) {
        return fail(ErrorCode::kContextOverflow,
                    fmt::format("the prompt has {}{} tokens", work.is_whole ? "" : "at least ", tokens.size()));
    }
    return std::move(tokens);
}

}  // namespace sutazai::llama
