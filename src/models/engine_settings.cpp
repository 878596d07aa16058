#include "models/engine_settings.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/kv_cells.h"
#include "base/kv_types.h"
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
    out.share_weights = settings.weight_sharing;
    out.chat_template = settings.chat_template;
    out.control_tokens_in_messages = settings.control_tokens_in_messages;
    out.prefix_cache_bytes = settings.prefix_cache_bytes;
    out.adapter_bytes = settings.adapter_cache_bytes;
    if (settings.advanced_caching_enabled) out.artifacts_dir = settings.cache_artifacts_dir;
    out.artifact_bytes = settings.cache_artifact_bytes;
    out.artifact_retention_days = settings.cache_artifact_retention_days;
    out.load_timeout = std::chrono::seconds(settings.load_timeout_s);
    out.stall_timeout = std::chrono::seconds(settings.engine_stall_timeout_s);
    return out;
}

EngineShape engine_shape(const config::Settings& settings) {
    return {.context_tokens = settings.context_tokens,
            .batch_size = settings.batch_size,
            .batch_size_max = settings.batch_size_max,
            .batch_tokens = settings.batch_tokens,
            .adapter_bytes = settings.adapter_cache_bytes};
}

EngineShape shape_of(EngineShape shape, const catalog::LoadChoices& choices, std::uint64_t training_context,
                     std::uint64_t adapter_bytes, std::uint64_t projector_bytes) {
    if (choices.context_tokens > 0) shape.context_tokens = choices.context_tokens;
    if (choices.context_tokens == 0 && choices.least_context_tokens > 0) {
        const auto training =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(training_context, std::numeric_limits<int>::max()));
        std::uint32_t usual = shape.context_tokens;
        if (usual == 0) usual = default_kv_cells(training, shape.batch_size);
        // More than one sequence can hold would be for nobody.
        const std::uint32_t least =
            training > 0 ? std::min(choices.least_context_tokens, training) : choices.least_context_tokens;
        shape.context_tokens = std::max(usual, least);
    }
    if (const auto type = kv_type(choices.kv_type)) shape.kv_bytes_of_32 = type->bytes_of_32;
    shape.projector_bytes = projector_bytes;
    shape.adapter_bytes = std::min(shape.adapter_bytes, adapter_bytes);
    return shape;
}

placement::Room room_for_models(const config::Settings& settings) {
    placement::Room out;
    out.places = settings.advanced_caching_enabled ? settings.model_cache_size : 1;
    out.bytes = settings.model_cache_bytes > 0 ? settings.model_cache_bytes : default_cache_bytes();
    return out;
}

}  // namespace sutazai::models
