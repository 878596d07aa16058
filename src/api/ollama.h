#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "base/error.h"

/// Ollama's API, POST /api/chat and /api/generate: their JSON to requests. Names and meanings are those of Ollama
/// 0.33 (api/types.go). Pure.
namespace sutazai::api::ollama {

/// What a body asks for.
enum class Order : std::uint8_t {
    kAnswer,
    kLoad,    ///< no messages or no prompt: the model is loaded, and that is all
    kUnload,  ///< the same with keep_alive 0
};

struct AnswerBody : ChatRequest {
    Order order = Order::kAnswer;
    /// options.num_ctx: a request needs this much context; 0: whatever there is.
    int context_tokens = 0;
    /// `think` asks for thoughts: a model without any is an error.
    bool demands_thinking = false;
    /// Of /api/generate: the chat is a prompt, perhaps behind a system message, and goes as plain text to a model that
    /// has no template.
    bool plain_without_template = false;
};

/// A field that would change the answer and is not supported is refused by name; so is one of Ollama's options. What
/// says how a model is to be loaded (num_gpu, num_thread, ...) is this server's own affair and passes.
[[nodiscard]] Result<AnswerBody> parse_chat(std::string_view body);
[[nodiscard]] Result<AnswerBody> parse_generate(std::string_view body);

/// `model`, or what older clients have under `name`, some of them beside an empty `model`. One must be there.
void read_model_name(FieldReader& fields, std::string& out);

/// `options` alone, of a body that asks for no answer: what says how to load passes, all else is refused.
void read_load_options(FieldReader& fields);

}  // namespace sutazai::api::ollama
