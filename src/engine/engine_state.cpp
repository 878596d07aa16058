#include "engine/engine_state.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace sutazai::engine {
namespace {

/// Rows that ggml's kernels for repacked weights take at a time; the rest goes one by one, each nearly at the price of
/// four.
constexpr int kRowGroup = 4;

sched::Limits limits_of(const Model& model, const EngineConfig& config) {
    const Model::Properties& p = model.properties();
    sched::Limits limits;
    limits.kv_cells = p.kv_cells;
    limits.context_per_sequence = p.context_per_sequence;
    limits.slots = p.slots;
    limits.batch_size = std::clamp(static_cast<int>(config.batch_size), 1, p.slots);
    limits.batch_size_max = std::clamp(static_cast<int>(config.batch_size_max), limits.batch_size, p.slots);
    limits.forks_at_once = 2 * limits.batch_size_max;
    limits.batch_tokens = std::max(static_cast<int>(config.batch_tokens), limits.batch_size_max);
    limits.row_group = kRowGroup;
    limits.queue_timeout = config.queue_timeout;
    limits.batch_timeout = config.batch_timeout;
    limits.max_queue = std::numeric_limits<int>::max();  // the engine's own limit counts requests in preparation too
    limits.prefix_sharing = config.prefix_sharing;
    limits.partial_removal_tokens = p.partial_removal_tokens;
    limits.token_gap = config.token_gap;
    limits.host_bytes = p.state_bytes_per_token > 0 ? config.prefix_cache_bytes : 0;
    limits.host_bytes_per_token = p.state_bytes_per_token;
    return limits;
}

}  // namespace

EngineState::EngineState(std::unique_ptr<Model> the_model, const EngineConfig& config)
    : model(std::move(the_model)), scheduler(limits_of(*model, config)) {}

sched::Time EngineState::time_of(std::chrono::steady_clock::time_point at) const {
    return std::chrono::duration_cast<sched::Time>(at - origin);
}

Error EngineState::no_numbers(const char* input_field) {
    if (counters.broken_results++ == 0) spdlog::error("the model computes what is no number (NaN or infinite)");
    return {ErrorCode::kInternal,
            "the model computed no numbers (NaN or infinite ones) for this input: its file is damaged, or quantised to "
            "fewer bits than it bears",
            input_field};
}

}  // namespace sutazai::engine
