#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/work_progress.h"

/// Ollama's API: work that takes long and tells how far it is, and the bodies of routes that ask for it or that order
/// something done with models by name. Pure.
namespace sutazai::api::ollama {

/// The answer when all is done, and the last line of a stream.
inline constexpr std::string_view kSuccess = R"({"status":"success"})";

/// One line of a stream: {"status", "digest", "total", "completed"}, without what is empty or 0.
void append_progress(std::string& out, const WorkProgress& progress);
void append_success(std::string& out);
void append_error(std::string& out, const Error& error);

/// POST /api/pull and /api/push.
struct TransferBody {
    std::string model;
    bool stream = true;
    bool insecure = false;  ///< the registry may be spoken to without TLS
};
[[nodiscard]] Result<TransferBody> parse_transfer(std::string_view body);

/// POST /api/copy.
struct CopyBody {
    std::string source;
    std::string destination;
};
[[nodiscard]] Result<CopyBody> parse_copy(std::string_view body);

/// DELETE /api/delete: the model's name.
[[nodiscard]] Result<std::string> parse_delete(std::string_view body);

}  // namespace sutazai::api::ollama
