#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/generation.h"
#include "grammar/token_constraint.h"
#include "llama/language_model.h"

namespace sutazai::llama {

/// For one token. A grammar that needs more ends its request: some 20 ms (docs/decisions/0020-grammars.md).
inline constexpr std::int64_t kWorkPerToken = 800'000;

/// What a request says of its text.
struct GrammarSource {
    bool is_schema = false;  ///< a JSON Schema, else GBNF with a rule named root
    std::string text;
    bool is_of_tools = false;  ///< GBNF that llama-common made of the request's tools

    /// Nothing when the text may be anything.
    [[nodiscard]] static std::optional<GrammarSource> of(const GenerationRequest& request);
    /// The request's field, for messages.
    [[nodiscard]] const char* field() const {
        return is_schema ? "response_format" : is_of_tools ? "tools" : "grammar";
    }
};

/// A grammar, ready for any number of texts of one model. Constant once made; any thread.
struct CompiledGrammar {
    std::shared_ptr<const grammar::Automaton> automaton;
    const grammar::TokenTrie& texts;  ///< the model's
    const char* field;                ///< of the request, for messages
    std::int64_t start_work;          ///< that it takes to get to the beginning of a text

    [[nodiscard]] std::size_t bytes() const { return sizeof *this + automaton->bytes(); }
};

/// kInvalidArgument (the source's field) when it cannot be read, is too large, or is met by no text. kCancelled when it
/// takes more than `work`. Any thread but the decode thread. `model` outlives what comes back.
[[nodiscard]] Result<std::shared_ptr<const CompiledGrammar>> compile(const LanguageModel& model,
                                                                     const GrammarSource& source, grammar::Work& work);

/// What a text must look like, and how far it has come. One thread at a time.
class Grammar {
  public:
    using Answer = grammar::TokenConstraint::Answer;

    /// At the beginning of a text. Costs next to nothing: the way to the beginning is part of the first question.
    Grammar(const LanguageModel& model, std::shared_ptr<const CompiledGrammar> compiled);

    /// May this token come next? The end of generation may come where the text may end.
    [[nodiscard]] Answer allows(Token token, grammar::Work& work);
    /// Makes every token that may not come next impossible. `logits` are [vocabulary]. False, and nothing is changed,
    /// when that takes more than `work`; a second call goes on where the first ended.
    [[nodiscard]] bool mask(std::span<float> logits, grammar::Work& work);
    /// The next token, which is one that is allowed.
    [[nodiscard]] Answer accept(Token token, grammar::Work& work);
    /// What is in front of the text's first token has been read, too. False, and nothing has changed, where the grammar
    /// does not begin so, or takes too long to tell.
    [[nodiscard]] bool accept_text(std::string_view text);
    /// Of the request, for messages.
    [[nodiscard]] const char* field() const { return compiled_->field; }

  private:
    [[nodiscard]] bool begin(const grammar::Work& work);

    const LanguageModel& model_;
    std::shared_ptr<const CompiledGrammar> compiled_;
    grammar::TokenConstraint constraint_;
    bool has_begun_ = false;
};

}  // namespace sutazai::llama
