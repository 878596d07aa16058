#include "upstream/outgoing.h"

#include <string>
#include <utility>
#include <variant>

#include "upstream/refuse.h"

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

/// What no other server is asked.
Result<void> check(const GenerationRequest& request) {
    constexpr const char* kServer = "another server";
    if (request.task == Task::kRead || request.task == Task::kRank) {
        return fail(ErrorCode::kInvalidArgument,
                    request.task == Task::kRead ? "model is of another server: its tokens are not known here"
                                                : "model is of another server, which is not asked to rank texts",
                    "model");
    }
    if (request.least_indent > 0) return cannot_say("n_indent", kServer);
    if (request.most_time.count() > 0) return cannot_say("t_max_predict_ms", kServer);
    if (const auto* gap = std::get_if<Infill>(&request.prompt)) {
        if (!gap->files.empty()) return cannot_say("input_extra", kServer);
        if (!gap->begun.empty()) return cannot_say("prompt", kServer);
    }
    return {};
}

}  // namespace

Result<Outgoing> make_outgoing(UpstreamKind kind, const std::string& model, const GenerationRequest& request) {
    if (auto checked = check(request); !checked) return std::unexpected(std::move(checked.error()));
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
