#include "http/family.h"

#include <algorithm>
#include <array>

#include "api/anthropic_events.h"
#include "api/ollama_lines.h"
#include "api/openai.h"
#include "api/streaming_v1.h"

namespace sutazai::http {

namespace {

/// Those of llama-server's own: their errors are OpenAI's.
constexpr auto kLlamaServers =
    std::to_array<std::string_view>({"/apply-template", "/completion", "/completions", "/detokenize", "/infill",
                                     "/props", "/rerank", "/reranking", "/slots", "/tokenize"});

}  // namespace

Family family_of_path(std::string_view path) {
    path = path.substr(0, path.find('?'));
    const auto is_below = [path](std::string_view folder) {
        return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
    };
    if (is_below("/v1/messages")) return Family::kAnthropic;
    if (is_below("/v1") || std::ranges::find(kLlamaServers, path) != kLlamaServers.end()) return Family::kOpenAi;
    return is_below("/api") && !is_below("/api/v1") ? Family::kOllama : Family::kStreamingV1;
}

std::string error_body(Family family, const Error& error, std::string_view request_id) {
    switch (family) {
        case Family::kOpenAi: return api::openai::encode_error(error);
        case Family::kOllama: return api::ollama::encode_error(error);
        case Family::kAnthropic: return api::anthropic::encode_error(error, request_id);
        case Family::kStreamingV1: break;
    }
    return api::streaming_v1::encode_error(error);
}

}  // namespace sutazai::http
