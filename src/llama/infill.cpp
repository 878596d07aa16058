#include "llama/infill.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using Tokens = std::vector<sched::Token>;

/// Around the gap itself, three quarters of them in front of it; files get what else there is.
constexpr std::size_t kGapTokens = 2048;

struct Marks {
    sched::Token prefix, suffix, middle;
};

/// Prefix, suffix, middle: the order that models with such tokens are trained for first.
Result<Marks> marks_of(const Tokenizer& tokenizer, const llama_vocab* vocab) {
    const Marks marks{llama_vocab_fim_pre(vocab), llama_vocab_fim_suf(vocab), llama_vocab_fim_mid(vocab)};
    for (const sched::Token mark : {marks.prefix, marks.suffix, marks.middle}) {
        const std::string name = piece_text(vocab, mark);
        if (name.empty() || !tokenizer.names_hidden_token(name)) {
            return fail(ErrorCode::kInvalidArgument,
                        "this model fills no gaps: it has no tokens for what is before and behind one", "suffix");
        }
    }
    return marks;
}

/// Puts texts and marks behind one another.
class Writer {
  public:
    Writer(const Tokenizer& tokenizer, const CancelCheck& cancelled) : tokenizer_(tokenizer), cancelled_(cancelled) {}

    [[nodiscard]] Tokens tokens_of(std::string_view text) {
        auto tokens = tokenizer_.tokenize_bare({text, false}, std::numeric_limits<std::size_t>::max(), cancelled_);
        if (!tokens) error_ = std::move(tokens.error());
        return tokens ? std::move(*tokens) : Tokens();
    }
    void add(sched::Token token) { out_.push_back(token); }
    void add(std::span<const sched::Token> tokens) { out_.insert(out_.end(), tokens.begin(), tokens.end()); }
    void add(std::string_view text) { add(std::span<const sched::Token>(tokens_of(text))); }
    [[nodiscard]] const std::optional<Error>& error() const { return error_; }
    [[nodiscard]] Tokens take() { return std::exchange(out_, {}); }

  private:
    const Tokenizer& tokenizer_;
    const CancelCheck& cancelled_;
    std::optional<Error> error_;
    Tokens out_;
};

/// The names of what has none are llama-server's.
Tokens files_of(const llama_vocab* vocab, const Infill& infill, Writer& writer) {
    const sched::Token project = llama_vocab_fim_rep(vocab);
    const sched::Token separator = llama_vocab_fim_sep(vocab);
    if (project != LLAMA_TOKEN_NULL) {
        writer.add(project);
        writer.add("myproject\n");
    }
    for (const Infill::File& file : infill.files) {
        if (separator != LLAMA_TOKEN_NULL) {
            writer.add(separator);
            writer.add(file.name + "\n");
        } else {
            writer.add("\n\n--- snippet ---\n\n");
        }
        writer.add(file.text);
    }
    if (separator != LLAMA_TOKEN_NULL) {
        writer.add(separator);
        writer.add("filename\n");
    }
    return writer.take();
}

}  // namespace

Result<std::vector<TextRun>> around_a_gap(const Tokenizer& tokenizer, const llama_vocab* vocab, const Infill& infill) {
    const auto marks = marks_of(tokenizer, vocab);
    if (!marks) return std::unexpected(marks.error());
    std::vector<TextRun> runs;
    runs.push_back({piece_text(vocab, marks->prefix), false});
    runs.push_back({infill.prefix, true});
    runs.push_back({piece_text(vocab, marks->suffix), false});
    runs.push_back({infill.suffix, true});
    runs.push_back({piece_text(vocab, marks->middle), false});
    if (!infill.begun.empty()) runs.push_back({infill.begun, true});
    return runs;
}

Result<Tokens> trimmed_around_a_gap(const Tokenizer& tokenizer, const llama_vocab* vocab, const Infill& infill,
                                    std::size_t most_tokens, const CancelCheck& cancelled) {
    const auto marks = marks_of(tokenizer, vocab);
    if (!marks) return std::unexpected(marks.error());
    Writer writer(tokenizer, cancelled);
    const Tokens begun = writer.tokens_of(infill.begun);
    const bool has_front = llama_vocab_get_add_bos(vocab);
    const std::size_t fixed = begun.size() + 3 + (has_front ? 1 : 0);
    if (fixed > most_tokens) {
        return fail(ErrorCode::kContextOverflow, fmt::format("the prompt has {} tokens", fixed), "prompt");
    }
    const std::size_t room = most_tokens - fixed;
    const std::size_t around = std::min(room, kGapTokens);
    const Tokens before = writer.tokens_of(infill.prefix);
    const Tokens behind = writer.tokens_of(infill.suffix);
    const std::size_t n_before = std::min(before.size(), around - around / 4);
    const std::size_t n_behind = std::min(behind.size(), around / 4);
    const Tokens files = files_of(vocab, infill, writer);
    const std::size_t n_files = std::min(files.size(), room - n_before - n_behind);
    if (has_front) writer.add(llama_vocab_bos(vocab));
    writer.add(std::span(files).last(n_files));
    writer.add(marks->prefix);
    writer.add(std::span(before).last(n_before));
    writer.add(marks->suffix);
    writer.add(std::span(behind).first(n_behind));
    writer.add(marks->middle);
    writer.add(std::span<const sched::Token>(begun));
    if (writer.error()) return std::unexpected(*writer.error());
    return writer.take();
}

}  // namespace sutazai::llama
