#include "serve/request_record.h"

#include <variant>

namespace sutazai::serve {

const char* to_string(Phase phase) {
    switch (phase) {
        case Phase::kModel: return "model";
        case Phase::kQueue: return "queue";
        case Phase::kPrompt: return "prompt";
        case Phase::kGenerating: return "generating";
        case Phase::kEnded: return "ended";
    }
    return "ended";
}

const char* to_string(Operation operation) {
    switch (operation) {
        case Operation::kChat: return "chat";
        case Operation::kCompletion: return "text_completion";
        case Operation::kEmbeddings: return "embeddings";
        case Operation::kRank: return "rank";
        case Operation::kRead: return "read";
    }
    return "chat";
}

Operation operation_of(const GenerationRequest& request) {
    switch (request.task) {
        case Task::kEmbed: return Operation::kEmbeddings;
        case Task::kRank: return Operation::kRank;
        case Task::kRead: return Operation::kRead;
        case Task::kGenerate: break;
    }
    return std::holds_alternative<Chat>(request.prompt) ? Operation::kChat : Operation::kCompletion;
}

const char* to_label(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument: return "invalid_argument";
        case ErrorCode::kUnauthorized: return "unauthorized";
        case ErrorCode::kForbidden: return "forbidden";
        case ErrorCode::kNotFound: return "not_found";
        case ErrorCode::kMethodNotAllowed: return "method_not_allowed";
        case ErrorCode::kPayloadTooLarge: return "payload_too_large";
        case ErrorCode::kUnsupportedMedia: return "unsupported_media";
        case ErrorCode::kContextOverflow: return "context_overflow";
        case ErrorCode::kQueueFull: return "queue_full";
        case ErrorCode::kQueueTimeout: return "queue_timeout";
        case ErrorCode::kUnavailable: return "unavailable";
        case ErrorCode::kLoadFailed: return "load_failed";
        case ErrorCode::kEngineDied: return "engine_died";
        case ErrorCode::kUpstreamFailed: return "upstream_failed";
        case ErrorCode::kUpstreamTimeout: return "upstream_timeout";
        case ErrorCode::kCancelled: return "cancelled";
        case ErrorCode::kInternal: return "internal";
    }
    return "internal";
}

Phase RequestRecord::phase() const {
    if (ended) return Phase::kEnded;
    if (first_token) return Phase::kGenerating;
    if (begun) return Phase::kPrompt;
    return leased ? Phase::kQueue : Phase::kModel;
}

const char* RequestRecord::outcome() const {
    if (!ended) return "";
    if (error) return to_label(*error);
    return to_string(finish.value_or(FinishReason::kStop));
}

}  // namespace sutazai::serve
