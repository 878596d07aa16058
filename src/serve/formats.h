#pragma once

#include "api/chat_fields.h"
#include "api/openai.h"
#include "api/openai_completions.h"
#include "serve/answer.h"

/// What the requests of the API families ask for, and how their answers are told.
namespace sutazai::serve {

[[nodiscard]] AnswerRequest streaming_v1_chat(api::ChatRequest request);
[[nodiscard]] AnswerRequest openai_chat(api::openai::OpenAiChatRequest request);
[[nodiscard]] AnswerRequest openai_completion(api::openai::CompletionRequest request);

}  // namespace sutazai::serve
