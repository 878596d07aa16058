#pragma once

#include <ggml.h>

#include <string>

namespace sutazai::llama {

/// llama.cpp says why a load failed only in its log: each thread's last error line is kept for the message. The rest is
/// handed on at the level debug.
void install_llama_log();
/// Takes the lines of llama.cpp's other libraries.
void llama_log(ggml_log_level level, const char* line, void* user);
[[nodiscard]] const std::string& last_llama_error();  ///< of the calling thread

}  // namespace sutazai::llama
