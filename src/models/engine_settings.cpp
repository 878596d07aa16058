#include "models/engine_settings.h"

#include <algorithm>
#include <utility>

#include "models/memory_limit.h"

namespace sutazai::models {

ipc::EngineOptions engine_options(const config::Settings& settings, std::string executable) {
    ipc::EngineOptions out;
    out.executable = std::move(executable);
    out.context_tokens = settings.context_tokens;
    out.batch_size = settings.batch_size;
    out.batch_size_max = std::max(settings.batch_size, settings.batch_size_max);
    out.queue_timeout_ms = settings.queue_timeout_s * 1000;
    out.batch_tokens = settings.batch_tokens;
    out.threads = settings.threads;
    out.gpu = settings.gpu_acceleration;
    out.batch_timeout_ms = settings.batch_timeout_ms;
    out.max_queue = settings.max_queue;
    out.token_gap_ms = settings.token_gap_ms;
    out.prefix_sharing = settings.prefix_sharing;
    out.chat_template = settings.chat_template;
    out.control_tokens_in_messages = settings.control_tokens_in_messages;
    out.prefix_cache_bytes = settings.prefix_cache_bytes;
    if (settings.advanced_caching_enabled) out.artifacts_dir = settings.cache_artifacts_dir;
    out.artifact_bytes = settings.cache_artifact_bytes;
    out.artifact_retention_days = settings.cache_artifact_retention_days;
    out.load_timeout = std::chrono::seconds(settings.load_timeout_s);
    out.stall_timeout = std::chrono::seconds(settings.engine_stall_timeout_s);
    return out;
}

EngineShape engine_shape(const config::Settings& settings) {
    return {settings.context_tokens, settings.batch_size, settings.batch_size_max, settings.batch_tokens};
}

placement::Room room_for_models(const config::Settings& settings) {
    placement::Room out;
    out.places = settings.advanced_caching_enabled ? settings.model_cache_size : 1;
    out.bytes = settings.model_cache_bytes > 0 ? settings.model_cache_bytes : default_cache_bytes();
    return out;
}

}  // namespace sutazai::models
