#include "http/family.h"

#include "api/openai.h"
#include "api/streaming_v1.h"

namespace sutazai::http {

Family family_of_path(std::string_view path) {
    return path == "/v1" || path.starts_with("/v1/") ? Family::kOpenAi : Family::kStreamingV1;
}

std::string error_body(Family family, const Error& error) {
    switch (family) {
        case Family::kOpenAi: return api::openai::encode_error(error);
        case Family::kStreamingV1: break;
    }
    return api::streaming_v1::encode_error(error);
}

}  // namespace sutazai::http
