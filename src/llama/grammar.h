#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "llama/model.h"

struct llama_sampler;
struct llama_vocab;

namespace sutazai::llama {

inline constexpr std::size_t kMaxGrammarBytes = std::size_t{256} << 10;
inline constexpr int kMaxGrammarDepth = 64;  ///< of parentheses

/// What a text must look like, and how far it has come. Compiled on any thread; then one thread at a time.
class Grammar {
  public:
    /// `gbnf` with a rule named root. kInvalidArgument (field "grammar") when it cannot be read or is too large.
    [[nodiscard]] static Result<std::unique_ptr<Grammar>> from_gbnf(const Model& model, const std::string& gbnf);
    /// A JSON Schema as text (field "response_format").
    [[nodiscard]] static Result<std::unique_ptr<Grammar>> from_json_schema(const Model& model,
                                                                           const std::string& schema);
    ~Grammar();
    Grammar(const Grammar&) = delete;
    Grammar& operator=(const Grammar&) = delete;

    /// May this token come next? The end of generation may come where the text may end.
    [[nodiscard]] bool allows(Token token) const;
    /// Makes every token that may not come next impossible. `logits` are [vocabulary].
    void mask(std::span<float> logits);
    /// The next token, which is one that is allowed. False when the grammar does not take it after all.
    [[nodiscard]] bool accept(Token token);

  private:
    Grammar(const llama_vocab* vocabulary, llama_sampler* sampler) : vocabulary_(vocabulary), sampler_(sampler) {}
    [[nodiscard]] bool is_written(Token token) const;

    const llama_vocab* vocabulary_;
    llama_sampler* sampler_;
};

/// Deepest nesting of parentheses in GBNF, outside of strings, character classes and comments.
[[nodiscard]] int nesting_of(std::string_view gbnf);

}  // namespace sutazai::llama
