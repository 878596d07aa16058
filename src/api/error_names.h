#pragma once

#include "base/error.h"

namespace sutazai::api {

/// The name that clients see of a code, for example "queue_full". Stable: programs compare it.
[[nodiscard]] const char* code_name(ErrorCode code);

/// OpenAI's coarse kind: invalid_request_error, authentication_error, permission_error, not_found_error,
/// rate_limit_error or server_error.
[[nodiscard]] const char* openai_type(ErrorCode code);

/// Anthropic's: invalid_request_error, authentication_error, permission_error, not_found_error, request_too_large,
/// overloaded_error, timeout_error or api_error.
[[nodiscard]] const char* anthropic_type(ErrorCode code);

}  // namespace sutazai::api
