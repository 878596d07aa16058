#pragma once

#include <string_view>

namespace sutazai::api {

/// The description of the HTTP API: OpenAPI 3.1, as JSON. Made by scripts/openapi.py when the server is built.
[[nodiscard]] std::string_view openapi_json();

}  // namespace sutazai::api
