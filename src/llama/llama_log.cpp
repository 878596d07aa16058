#include "llama/llama_log.h"

#include <llama.h>
#include <spdlog/spdlog.h>

#include <string_view>

namespace sutazai::llama {
namespace {

thread_local std::string t_last_error;

}  // namespace

void llama_log(ggml_log_level level, const char* line, void* /*user*/) {
    std::string_view message(line);
    while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
    if (message.empty()) return;
    if (level == GGML_LOG_LEVEL_ERROR) t_last_error = message;
    spdlog::debug("llama.cpp: {}", message);
}

void install_llama_log() {
    llama_log_set(llama_log, nullptr);
}

const std::string& last_llama_error() {
    return t_last_error;
}

}  // namespace sutazai::llama
