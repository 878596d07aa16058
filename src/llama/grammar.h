#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "grammar/token_constraint.h"
#include "llama/model.h"

namespace sutazai::llama {

inline constexpr std::size_t kMaxGrammarBytes = std::size_t{256} << 10;
/// For one token. A grammar that needs more ends its request: some 20 ms (docs/decisions/0020-grammars.md).
inline constexpr std::int64_t kWorkPerToken = 800'000;

/// What a text must look like, and how far it has come. Compiled on any thread; then one thread at a time.
class Grammar {
  public:
    using Answer = grammar::TokenConstraint::Answer;

    /// `gbnf` with a rule named root. kInvalidArgument (field "grammar") when it cannot be read or is too large.
    [[nodiscard]] static Result<std::unique_ptr<Grammar>> from_gbnf(const Model& model, const std::string& gbnf);
    /// A JSON Schema as text (field "response_format").
    [[nodiscard]] static Result<std::unique_ptr<Grammar>> from_json_schema(const Model& model,
                                                                           const std::string& schema);
    /// Another one of the same, at its beginning.
    [[nodiscard]] std::unique_ptr<Grammar> clone() const;

    /// May this token come next? The end of generation may come where the text may end.
    [[nodiscard]] Answer allows(Token token, grammar::Work& work);
    /// Makes every token that may not come next impossible. `logits` are [vocabulary]. False, and nothing is changed,
    /// when that takes more than `work`; a second call goes on where the first ended.
    [[nodiscard]] bool mask(std::span<float> logits, grammar::Work& work);
    /// The next token, which is one that is allowed.
    [[nodiscard]] Answer accept(Token token, grammar::Work& work);
    /// Of the request, for messages.
    [[nodiscard]] const char* field() const { return field_; }

  private:
    Grammar(const Model& model, std::shared_ptr<const grammar::Automaton> automaton, const char* field);
    [[nodiscard]] static Result<std::unique_ptr<Grammar>> compile(const Model& model, const grammar::Rules& rules,
                                                                  const char* field);

    const Model& model_;
    std::shared_ptr<const grammar::Automaton> automaton_;
    const char* field_;
    grammar::TokenConstraint constraint_;
};

}  // namespace sutazai::llama
