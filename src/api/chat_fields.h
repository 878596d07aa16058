#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/duration.h"
#include "base/generation.h"

/// The fields of a chat request that every API family shares. Pure.
namespace sutazai::api {

inline constexpr std::size_t kMaxMessages = 4096;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 256;

struct ChatRequest {
    std::string model;  ///< empty: the server's default
    GenerationRequest generation;
    std::optional<KeepAlive> keep_alive;  ///< how long the model stays warm once idle; unset: as the server has it
    bool stream = false;
};

/// Reads messages (with continue_final_message and add_generation_prompt), model, temperature, top_p, top_k, min_p,
/// repeat_penalty, presence_penalty, frequency_penalty, seed, max_tokens, stop, adapters, response_format, grammar,
/// ignore_eos, priority, keep_alive and stream. keep_alive is Ollama's: a time ("5m", "1h30m") or a number of seconds;
/// 0 unloads the model after use, a negative one keeps it. A seed of -1 means a random one, as in llama-server; any
/// other int64 is a seed of its own.
void read_chat_fields(FieldReader& fields, ChatRequest& out);

/// All but `messages`: for families that carry the prompt in another way. Fields that are absent leave what is in
/// `out`.
void read_generation_fields(FieldReader& fields, ChatRequest& out, int least_max_tokens = 1);

/// temperature, top_p, top_k, min_p, repeat_penalty, presence_penalty, frequency_penalty, seed (as above), and what
/// sampler_fields.h reads.
void read_sampling(FieldReader& fields, SamplingParams& out);

/// `adapters`: a list of {"name", "scale"}; an empty one asks for the model without any.
void read_adapters(FieldReader& fields, GenerationRequest& out);

/// `stop`, or what the family calls it: a string or a list of them, which takes the place of what is in `out`.
void read_stop(FieldReader& fields, std::vector<std::string>& out, std::string_view name = "stop");

/// Which of the fields of read_sampling() and read_stop() the request has itself.
void note_given(const FieldReader& fields, GivenFields& given);

/// `logprobs` (yes or no) and `top_logprobs` of chats.
void read_logprobs(FieldReader& fields, int& top_logprobs);

/// `keep_alive` alone.
void read_keep_alive(FieldReader& fields, std::optional<KeepAlive>& out);

/// `messages`, with what tool_fields.h reads, and what is to come behind them: a new message, unless the last one is
/// the assistant's, which is then continued. `continue_final_message` and `add_generation_prompt`, vLLM's names, say
/// otherwise.
[[nodiscard]] Chat read_chat(FieldReader& fields);

}  // namespace sutazai::api
