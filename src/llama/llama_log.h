#pragma once

#include <string>

namespace sutazai::llama {

/// llama.cpp says why a load failed only in its log: each thread's last error line is kept for the message. The rest is
/// handed on at the level debug.
void install_llama_log();
[[nodiscard]] const std::string& last_llama_error();  ///< of the calling thread

}  // namespace sutazai::llama
