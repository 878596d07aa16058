#pragma once

#include <string>

#include "api/anthropic.h"
#include "api/chat_fields.h"
#include "api/llama_completion.h"
#include "api/ollama.h"
#include "api/ollama_lines.h"
#include "api/openai.h"
#include "api/openai_completions.h"
#include "config/settings.h"
#include "serve/answer.h"

/// What the requests of the API families ask for, and how their answers are told.
namespace sutazai::serve {

[[nodiscard]] AnswerRequest streaming_v1_chat(api::ChatRequest request);
[[nodiscard]] AnswerRequest openai_chat(api::openai::OpenAiChatRequest request);
[[nodiscard]] AnswerRequest openai_completion(api::openai::CompletionRequest request);
[[nodiscard]] AnswerRequest llama_completion(api::llama_server::Completion request);
/// `request_id` is told with an error in the stream.
[[nodiscard]] AnswerRequest anthropic_messages(api::anthropic::MessagesRequest request,
                                               const config::Settings& settings, std::string request_id);
/// Of a body that asks for an answer. Its durations count from now.
[[nodiscard]] AnswerRequest ollama_answer(api::ollama::Route route, api::ollama::AnswerBody body);

}  // namespace sutazai::serve
