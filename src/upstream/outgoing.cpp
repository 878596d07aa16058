#include "upstream/outgoing.h"

#include <string>
#include <variant>

namespace sutazai::upstream {
namespace {

/// Does it say what only Ollama's routes have words for?
bool is_ollamas(const GenerationRequest& request) {
    if (request.returns_tokens || request.truncate || request.context_tokens > 0) return true;
    if (!request.context.empty() || !request.chat_template.empty()) return true;
    // A text that goes on as long as the context holds: OpenAI's ends after 16 tokens.
    const bool is_text =
        std::holds_alternative<std::string>(request.prompt) || std::holds_alternative<Infill>(request.prompt);
    return request.task == Task::kGenerate && is_text && request.max_tokens < 0 && !request.echo;
}

}  // namespace

Result<Outgoing> make_outgoing(UpstreamKind kind, const std::string& model, const GenerationRequest& request) {
    switch (kind) {
        case UpstreamKind::kOllama: return ollama_request(model, request, false);
        case UpstreamKind::kOpenAi: return openai_request(model, request, false);
        case UpstreamKind::kSutazai:
            // Which has both.
            return is_ollamas(request) ? ollama_request(model, request, true) : openai_request(model, request, true);
    }
    return ollama_request(model, request, false);
}

const char* list_path(UpstreamKind kind) {
    switch (kind) {
        case UpstreamKind::kOllama: return "/api/tags";
        case UpstreamKind::kOpenAi: return "/models";
        case UpstreamKind::kSutazai: return "/v1/models";
    }
    return "/api/tags";
}

}  // namespace sutazai::upstream
