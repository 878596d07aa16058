#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/generation.h"
#include "llama/grammar.h"
#include "llama/language_model.h"
#include "llama/logit_row.h"
#include "llama/sampler.h"

namespace sutazai::llama {

/// The score of `token` in a row of raw logits that has been read, with its `n_top` best alternatives.
[[nodiscard]] TokenScore score_of(const LanguageModel& model, LogitRow& row, Token token, int n_top);

/// Where one request's tokens come from: the sampler, the grammar that it must keep to, if there is one, and for
/// requests that ask the scores of what is drawn. Scores go
/// out with the text of their tokens: what a stop string may still take back holds them back too. One thread at a time.
class TokenSource {
  public:
    /// `model` outlives this. `grammar` may be null.
    TokenSource(const LanguageModel& model, const GenerationRequest& request, std::unique_ptr<Grammar> grammar);

    /// A token of the prompt, for the penalties.
    void accept_prompt(Token token) { sampler_->accept(token); }
    /// The next token; kNoNumbers when the logits say nothing (LogitRow::read), kNoToken when the grammar leaves none;
    /// kTooDear when it takes more than `work` to tell: a second call with the same logits goes on, and draws what one
    /// call with as much work would have drawn. `logits` are [vocabulary] and may be changed, unless kTooDear comes
    /// back.
    [[nodiscard]] Token draw(std::span<float> logits, grammar::Work& work);
    static constexpr Token kNoToken = -1;
    static constexpr Token kTooDear = -2;
    static constexpr Token kNoNumbers = -3;

    [[nodiscard]] const Grammar* grammar() const { return grammar_.get(); }
    /// From the next token on; no token is drawn but not accepted.
    void set_grammar(std::unique_ptr<Grammar> grammar) { grammar_ = std::move(grammar); }
    /// The next tokens are these, whatever the logits say.
    void force(std::vector<Token> tokens) { forced_.assign(tokens.begin(), tokens.end()); }

    /// The token drawn last is taken. False when the grammar does not follow.
    [[nodiscard]] bool accept(Token token);
    /// It made `n_text_bytes` of text, before stop strings are looked for.
    void made_text(std::size_t n_text_bytes);
    /// Of the text, `n_bytes` in all are out by now. Appends the scores of the tokens whose text is out. At the end
    /// (`last`) these are all, or, where a stop string cut the text, those whose text is out in part.
    void release(std::size_t n_bytes, bool last, bool cut, std::vector<TokenScore>& out);

  private:
    struct Held {
        TokenScore score;
        std::size_t begin;  ///< of the token's text
        std::size_t end;
    };

    const LanguageModel& model_;
    std::unique_ptr<Sampler> sampler_;
    std::unique_ptr<Grammar> grammar_;
    int n_top_;
    std::deque<Token> forced_;
    std::optional<Token> first_;  ///< drawn without a look at the grammar, which has not answered yet
    LogitRow raw_;                ///< of what is scored
    TokenScore drawn_;            ///< of the token drawn last
    std::vector<float> scratch_;  ///< a row that the sampler may change, where the raw one is still needed
    std::deque<Held> held_;
    std::size_t n_text_bytes_ = 0;  ///< made so far
};

}  // namespace sutazai::llama
