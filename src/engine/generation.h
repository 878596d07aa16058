#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/utf8_stream.h"
#include "engine/prepared.h"
#include "llama/token_source.h"
#include "text/answer_parser.h"
#include "text/line_limit.h"
#include "text/stop_matcher.h"

namespace sutazai::engine {

/// One answer between its request's preparation and its end: where its tokens come from, and the text that they make.
/// Decode thread, but for the source while a token is drawn elsewhere.
class Generation {
  public:
    /// `model` outlives this.
    Generation(const Model& model, const Prepared& prepared, RequestId answer);

    [[nodiscard]] RequestId id() const { return id_; }
    /// Null: none.
    [[nodiscard]] const llama::AdapterSet* adapters() const { return adapters_.get(); }
    [[nodiscard]] const llama::PromptImages* images() const { return &images_; }
    [[nodiscard]] const std::string& salt() const { return salt_; }
    [[nodiscard]] const char* input_field() const { return input_field_; }  ///< of the request, for messages
    [[nodiscard]] bool returns_tokens() const { return returns_tokens_; }
    [[nodiscard]] llama::TokenSource& source() { return source_; }

    /// The token drawn last, or what source().draw() said instead, is taken. kInvalidArgument when the grammar has no
    /// token that follows, or takes too long to tell.
    [[nodiscard]] Result<void> accept(Token token);
    /// Adds the text of an accepted token, as far as it may go out. Says so when the answer ends with it: with a stop
    /// string, a token that ends generation, or a limit of lines.
    [[nodiscard]] std::optional<FinishReason> write(Token token, GenerationUpdate& update);
    [[nodiscard]] const std::string& stop() const { return stops_.match(); }  ///< the stop string that was found
    /// What is in the update goes out, and more will come: adds the scores of the tokens whose text is out.
    void release(GenerationUpdate& update);
    /// The end: adds the text and the scores that were held back. A character of which only the first bytes have come
    /// is left out where the rest was cut off, and is U+FFFD where the model ended in it.
    void release_rest(FinishReason reason, GenerationUpdate& update);

    [[nodiscard]] int fetched_tokens() const { return fetched_tokens_; }    ///< of the prompt, from the disk for it
    [[nodiscard]] std::uint32_t n_tokens() const { return n_tokens_; }      ///< accepted
    [[nodiscard]] std::uint32_t n_thoughts() const { return n_thoughts_; }  ///< of these, within thoughts
    /// Why it ended, in the words of the message: release_rest() has been called with `reason`.
    [[nodiscard]] FinishReason reason(FinishReason reason) const;
    /// When the first token was accepted; there must be one. Prefill ends then.
    [[nodiscard]] std::chrono::steady_clock::time_point first_token() const { return *first_token_; }
    [[nodiscard]] std::chrono::steady_clock::time_point submitted() const { return submitted_; }

    /// A token that is drawn away from the decode thread.
    struct SlowDraw {
        bool is_running = false;     ///< the thread of slow draws has the source
        std::optional<Token> token;  ///< drawn while the request was preempted
        std::string failure;         ///< set by that thread before it hands the source back
    };
    SlowDraw slow_draw;
    std::atomic<bool> is_gone = false;  ///< nobody wants it any more; any thread may ask

  private:
    [[nodiscard]] std::optional<FinishReason> push(std::string_view piece, std::string& out);
    void tell(std::string_view text, GenerationUpdate& update);
    void look_for_call();
    void end_thoughts();
    [[nodiscard]] bool is_shown(Token token) const;

    const Model& model_;
    RequestId id_;
    llama::TokenSource source_;
    Utf8Stream characters_;
    text::StopMatcher stops_;
    bool ignore_eos_;
    text::LineLimit lines_;
    bool returns_tokens_;
    const char* input_field_;
    std::string salt_;
    std::shared_ptr<const llama::AdapterSet> adapters_;
    llama::PromptImages images_;  ///< of the prompt, which is computed again when it is preempted
    std::chrono::steady_clock::time_point submitted_;
    std::optional<std::chrono::steady_clock::time_point> first_token_;
    int fetched_tokens_;
    std::uint32_t n_tokens_ = 0;
    std::size_t n_bytes_out_ = 0;  ///< of the text
    // Where the answer is a message with parts.
    std::shared_ptr<const llama::ChatForm> form_;
    std::optional<text::AnswerParser> parser_;
    std::shared_ptr<const llama::CompiledGrammar> grammar_;  ///< begins with a call, or behind the thoughts
    std::size_t looked_for_call_ = 0;                        ///< so far in the parser's text
    int most_thoughts_;
    std::vector<Token> thoughts_end_;  ///< empty: the model ends them
    std::uint32_t n_thoughts_ = 0;
};

}  // namespace sutazai::engine
