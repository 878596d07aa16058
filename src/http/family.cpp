#include "http/family.h"

#include "api/ollama_lines.h"
#include "api/openai.h"
#include "api/streaming_v1.h"

namespace sutazai::http {

Family family_of_path(std::string_view path) {
    const auto is_below = [path](std::string_view folder) {
        return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
    };
    if (is_below("/v1")) return Family::kOpenAi;
    return is_below("/api") && !is_below("/api/v1") ? Family::kOllama : Family::kStreamingV1;
}

std::string error_body(Family family, const Error& error) {
    switch (family) {
        case Family::kOpenAi: return api::openai::encode_error(error);
        case Family::kOllama: return api::ollama::encode_error(error);
        case Family::kStreamingV1: break;
    }
    return api::streaming_v1::encode_error(error);
}

}  // namespace sutazai::http
