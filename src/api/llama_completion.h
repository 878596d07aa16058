#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/chat_fields.h"
#include "api/choice.h"
#include "base/error.h"

/// llama-server's own completions, POST /completion and POST /infill. Field names and shapes are those of llama.cpp's
/// tools/server/README.md. Pure.
namespace sutazai::api::llama_server {

struct Completion : ChatRequest {
    std::vector<GenerationRequest> generations;  ///< one for each prompt
    std::string prompt;                          ///< of a single text, to be given back
    /// Nothing is wanted but that the prompt is computed (n_predict 0): the one token that is generated is not shown.
    bool only_prompt = false;
    std::vector<std::string> response_fields;  ///< all that is wanted of the answer; empty: everything
};

/// `prompt`, the sampling fields, n_predict (or max_tokens), n_indent, t_max_predict_ms, json_schema, return_tokens,
/// response_fields. kInvalidArgument too for more than `max_generations` prompts.
[[nodiscard]] Result<Completion> parse_completion(std::string_view body, std::size_t max_generations);

/// The same with `input_prefix`, `input_suffix`, `input_extra` and a `prompt` that stands in the gap already.
[[nodiscard]] Result<Completion> parse_infill(std::string_view body);

/// More of one generation's text, as an event of a stream.
void append_chunk(std::string& out, std::size_t index, std::string_view text, std::uint32_t n_tokens);

/// How one generation ended, and all of its text: an event of a stream, the last of that generation.
void append_end(std::string& out, const Completion& request, std::string_view model, std::size_t index,
                const Finished& finished);

/// The answer when `stream` is false: an object, of several prompts a list of them.
[[nodiscard]] std::string encode_completion(const Completion& request, std::string_view model,
                                            std::span<const Choice> choices);

}  // namespace sutazai::api::llama_server
