#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/choice.h"
#include "api/openai.h"
#include "base/error.h"
#include "base/generation.h"

/// POST /v1/completions: OpenAI's older route, for text that goes to the model as it is. Pure.
namespace sutazai::api::openai {

inline constexpr int kDefaultCompletionTokens = 16;
inline constexpr int kMaxCompletionLogprobs = 5;
inline constexpr int kMaxBestOf = 20;

/// A prompt: text, or token ids of the model.
using PromptItem = std::variant<std::string, std::vector<std::int32_t>>;

/// A list of token ids, which may be empty; it is there.
[[nodiscard]] std::vector<std::int32_t> read_token_ids(FieldReader& fields, std::string_view name);

/// `name` as a string, a list of strings, a list of token ids or a list of lists of them; at most `max_items`, none of
/// them empty.
[[nodiscard]] std::vector<PromptItem> read_prompts(FieldReader& fields, std::string_view name, std::size_t max_items);

struct CompletionRequest : ChatRequest {
    std::vector<PromptItem> prompts;  ///< until take_generations()
    std::size_t n_prompts = 0;
    std::string suffix;  ///< what is behind the gap that each prompt is before; empty: there is none
    bool include_usage = false;
    int n = 1;
    int best_of = 1;  ///< generated for each prompt; the `n` most likely are given back
    bool logprobs = false;

    /// One for each prompt, of `best_of` answers. Takes the prompts.
    [[nodiscard]] std::vector<GenerationRequest> take_generations();
};

/// The body. kInvalidArgument too when prompts times best_of are more than `max_generations`.
[[nodiscard]] Result<CompletionRequest> parse_completion(std::string_view body, std::size_t max_generations);

/// Writes the Server-Sent Events of one stream, as ChunkEncoder does for chats.
class CompletionChunkEncoder {
  public:
    CompletionChunkEncoder(const Identity& identity, bool include_usage, bool logprobs, std::size_t n_choices);

    void content(std::string& out, std::size_t index, std::string_view text, std::span<const TokenScore> scores);
    void finish(std::string& out, std::size_t index, FinishReason reason) const;
    void end(std::string& out, const Usage& usage) const;

  private:
    std::string head_, tail_;
    bool include_usage_;
    bool logprobs_;
    std::vector<std::size_t> offsets_;  ///< of each choice's next token
};

/// text_completion, the answer when `stream` is false: of each `best_of` choices the `n` most likely.
[[nodiscard]] std::string encode_completion(const Identity& identity, const CompletionRequest& request,
                                            std::span<const Choice> choices);

}  // namespace sutazai::api::openai
