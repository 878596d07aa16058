#include "ipc/wire.h"

#include <array>
#include <utility>

namespace sutazai::ipc {
namespace {

std::uint64_t to_us(std::chrono::microseconds duration) {
    return duration.count() > 0 ? static_cast<std::uint64_t>(duration.count()) : 0;
}
std::chrono::microseconds from_us(std::uint64_t us) {
    return std::chrono::microseconds(us);
}

void set_chance(wire::TokenChance& to, const TokenChance& chance) {
    to.set_piece(chance.piece);
    to.set_logprob(chance.logprob);
}

/// Where the wire has each figure.
struct StatsField {
    std::uint64_t EngineStats::*value;
    std::uint64_t (wire::Stats::*get)() const;
    void (wire::Stats::*set)(std::uint64_t);
};
constexpr std::array kStatsFields{
    StatsField{&EngineStats::running, &wire::Stats::running, &wire::Stats::set_running},
    StatsField{&EngineStats::waiting, &wire::Stats::waiting, &wire::Stats::set_waiting},
    StatsField{&EngineStats::batch_width, &wire::Stats::batch_width, &wire::Stats::set_batch_width},
    StatsField{&EngineStats::kv_cells_used, &wire::Stats::kv_cells_used, &wire::Stats::set_kv_cells_used},
    StatsField{&EngineStats::kv_cells, &wire::Stats::kv_cells, &wire::Stats::set_kv_cells},
    StatsField{&EngineStats::prefixes, &wire::Stats::prefixes, &wire::Stats::set_prefixes},
    StatsField{&EngineStats::host_bytes, &wire::Stats::host_bytes, &wire::Stats::set_host_bytes},
    StatsField{&EngineStats::artifacts, &wire::Stats::artifacts, &wire::Stats::set_artifacts},
    StatsField{&EngineStats::artifact_bytes, &wire::Stats::artifact_bytes, &wire::Stats::set_artifact_bytes},
    StatsField{&EngineStats::prompt_tokens, &wire::Stats::prompt_tokens, &wire::Stats::set_prompt_tokens},
    StatsField{&EngineStats::generation_tokens, &wire::Stats::generation_tokens, &wire::Stats::set_generation_tokens},
    StatsField{&EngineStats::cached_tokens, &wire::Stats::cached_tokens, &wire::Stats::set_cached_tokens},
    StatsField{&EngineStats::host_restored_tokens, &wire::Stats::host_restored_tokens,
               &wire::Stats::set_host_restored_tokens},
    StatsField{&EngineStats::artifact_restored_tokens, &wire::Stats::artifact_restored_tokens,
               &wire::Stats::set_artifact_restored_tokens},
    StatsField{&EngineStats::preemptions, &wire::Stats::preemptions, &wire::Stats::set_preemptions},
    StatsField{&EngineStats::steps, &wire::Stats::steps, &wire::Stats::set_steps},
    StatsField{&EngineStats::step_us, &wire::Stats::step_us, &wire::Stats::set_step_us},
    StatsField{&EngineStats::grammar_hits, &wire::Stats::grammar_hits, &wire::Stats::set_grammar_hits},
    StatsField{&EngineStats::grammar_misses, &wire::Stats::grammar_misses, &wire::Stats::set_grammar_misses},
    StatsField{&EngineStats::broken_results, &wire::Stats::broken_results, &wire::Stats::set_broken_results},
};
static_assert(kStatsFields.size() * sizeof(std::uint64_t) == sizeof(EngineStats), "a figure is missing");

}  // namespace

wire::Delta to_wire(RequestId id, const GenerationUpdate& update) {
    wire::Delta out;
    out.set_request_id(id);
    out.set_content(update.delta.content);
    out.set_reasoning(update.delta.reasoning);
    for (const ToolCallDelta& call : update.delta.tool_calls) {
        wire::ToolCallDelta& to = *out.add_tool_calls();
        to.set_index(call.index);
        to.set_id(call.id);
        to.set_name(call.name);
        to.set_arguments(call.arguments);
    }
    out.set_n_tokens(update.n_tokens);
    for (const TokenScore& score : update.scores) {
        wire::TokenScore& to = *out.add_scores();
        set_chance(*to.mutable_token(), score.token);
        for (const TokenChance& chance : score.top) set_chance(*to.add_top(), chance);
        to.set_unscored(!score.scored);
    }
    out.mutable_embedding()->Add(update.embedding.begin(), update.embedding.end());
    return out;
}

GenerationUpdate from_wire(const wire::Delta& delta) {
    GenerationUpdate out;
    out.delta = {delta.content(), delta.reasoning(), {}};
    for (const wire::ToolCallDelta& call : delta.tool_calls()) {
        out.delta.tool_calls.push_back({call.index(), call.id(), call.name(), call.arguments()});
    }
    out.n_tokens = delta.n_tokens();
    out.scores.reserve(static_cast<std::size_t>(delta.scores_size()));
    for (const wire::TokenScore& score : delta.scores()) {
        TokenScore& to = out.scores.emplace_back();
        to.token = {score.token().piece(), score.token().logprob()};
        for (const wire::TokenChance& chance : score.top()) to.top.push_back({chance.piece(), chance.logprob()});
        to.scored = !score.unscored();
    }
    out.embedding.assign(delta.embedding().begin(), delta.embedding().end());
    return out;
}

wire::Finished to_wire(RequestId id, const Finished& finished) {
    wire::Finished out;
    out.set_request_id(id);
    out.set_reason(static_cast<std::uint32_t>(finished.reason));
    out.set_prompt_tokens(finished.usage.prompt_tokens);
    out.set_stop(finished.stop);
    out.set_completion_tokens(finished.usage.completion_tokens);
    out.set_cached_tokens(finished.usage.cached_tokens);
    out.set_reasoning_tokens(finished.usage.reasoning_tokens);
    out.set_queued_us(to_us(finished.timings.queued));
    out.set_prefill_us(to_us(finished.timings.prefill));
    out.set_decode_us(to_us(finished.timings.decode));
    out.mutable_tokens()->Add(finished.tokens.begin(), finished.tokens.end());
    return out;
}

Finished from_wire(const wire::Finished& finished) {
    Finished out;
    if (finished.reason() <= static_cast<std::uint32_t>(FinishReason::kToolCalls)) {
        out.reason = static_cast<FinishReason>(finished.reason());
    }
    out.usage = {finished.prompt_tokens(), finished.completion_tokens(), finished.cached_tokens(),
                 finished.reasoning_tokens()};
    out.timings = {from_us(finished.queued_us()), from_us(finished.prefill_us()), from_us(finished.decode_us())};
    out.tokens.assign(finished.tokens().begin(), finished.tokens().end());
    out.stop = finished.stop();
    return out;
}

wire::PromptProgress to_wire(RequestId id, const PromptProgress& progress) {
    wire::PromptProgress out;
    out.set_request_id(id);
    out.set_prompt_tokens(progress.prompt_tokens);
    out.set_ready_tokens(progress.ready_tokens);
    out.set_shared_tokens(progress.shared_tokens);
    out.set_kept_tokens(progress.kept_tokens);
    out.set_host_tokens(progress.host_tokens);
    out.set_artifact_tokens(progress.artifact_tokens);
    out.set_queued_us(to_us(progress.queued));
    return out;
}

PromptProgress from_wire(const wire::PromptProgress& progress) {
    return {.prompt_tokens = progress.prompt_tokens(),
            .ready_tokens = progress.ready_tokens(),
            .shared_tokens = progress.shared_tokens(),
            .kept_tokens = progress.kept_tokens(),
            .host_tokens = progress.host_tokens(),
            .artifact_tokens = progress.artifact_tokens(),
            .queued = from_us(progress.queued_us())};
}

wire::Failed to_wire(RequestId id, Error error) {
    wire::Failed out;
    out.set_request_id(id);
    out.set_code(static_cast<std::uint32_t>(error.code));
    out.set_message(std::move(error.message));
    out.set_field(std::move(error.field));
    out.set_retry_after_s(error.retry_after_s > 0 ? static_cast<std::uint32_t>(error.retry_after_s) : 0);
    return out;
}

Error from_wire(const wire::Failed& failed) {
    Error out;
    if (failed.code() <= static_cast<std::uint32_t>(ErrorCode::kInternal)) {
        out.code = static_cast<ErrorCode>(failed.code());
    }
    out.message = failed.message();
    out.field = failed.field();
    out.retry_after_s = static_cast<int>(failed.retry_after_s());
    return out;
}

wire::Load to_wire(const EngineOptions& options) {
    wire::Load out;
    out.set_path(options.path);
    out.set_projector(options.projector);
    out.set_context_tokens(options.context_tokens);
    out.set_batch_size(options.batch_size);
    out.set_batch_size_max(options.batch_size_max);
    out.set_batch_tokens(options.batch_tokens);
    out.set_threads(options.threads);
    out.set_gpu(options.gpu);
    out.set_warmup(options.warmup);
    out.set_batch_timeout_ms(options.batch_timeout_ms);
    out.set_max_queue(options.max_queue);
    out.set_queue_timeout_ms(options.queue_timeout_ms);
    out.set_token_gap_ms(options.token_gap_ms);
    out.set_prefix_sharing(options.prefix_sharing);
    out.set_prefix_cache_bytes(options.prefix_cache_bytes);
    out.set_adapter_bytes(options.adapter_bytes);
    out.set_artifacts_dir(options.artifacts_dir);
    out.set_artifact_bytes(options.artifact_bytes);
    out.set_artifact_retention_days(options.artifact_retention_days);
    out.set_model_name(options.model_name);
    out.set_architecture(options.architecture);
    out.set_vocabulary(options.vocabulary);
    out.set_kv_type(options.kv_type);
    out.set_own_template(options.own_template);
    out.set_chat_template(options.chat_template);
    out.set_renderer(options.renderer);
    out.set_control_tokens_in_messages(options.control_tokens_in_messages);
    out.set_share_weights(options.share_weights);
    for (const EngineOptions::Sibling& sibling : options.siblings) {
        wire::Sibling& to = *out.add_siblings();
        to.set_pid(sibling.pid);
        to.set_fd(sibling.fd);
        to.set_model(sibling.model);
    }
    return out;
}

EngineOptions from_wire(const wire::Load& load) {
    EngineOptions out;
    out.path = load.path();
    out.projector = load.projector();
    out.context_tokens = load.context_tokens();
    out.batch_size = load.batch_size();
    out.batch_size_max = load.batch_size_max();
    out.batch_tokens = load.batch_tokens();
    out.threads = load.threads();
    out.gpu = load.gpu();
    out.warmup = load.warmup();
    out.batch_timeout_ms = load.batch_timeout_ms();
    out.max_queue = load.max_queue();
    out.queue_timeout_ms = load.queue_timeout_ms();
    out.token_gap_ms = load.token_gap_ms();
    out.prefix_sharing = load.prefix_sharing();
    out.prefix_cache_bytes = load.prefix_cache_bytes();
    out.adapter_bytes = load.adapter_bytes();
    out.artifacts_dir = load.artifacts_dir();
    out.artifact_bytes = load.artifact_bytes();
    out.artifact_retention_days = load.artifact_retention_days();
    out.model_name = load.model_name();
    out.architecture = load.architecture();
    out.vocabulary = load.vocabulary();
    out.kv_type = load.kv_type();
    out.own_template = load.own_template();
    out.chat_template = load.chat_template();
    out.renderer = load.renderer();
    out.control_tokens_in_messages = load.control_tokens_in_messages();
    out.share_weights = load.share_weights();
    for (const wire::Sibling& sibling : load.siblings()) {
        out.siblings.push_back({sibling.pid(), sibling.fd(), sibling.model()});
    }
    return out;
}

wire::Loaded to_wire(const ModelInfo& info) {
    wire::Loaded out;
    out.set_context_tokens(info.context_tokens);
    out.set_context_per_sequence(info.context_per_sequence);
    out.set_training_context(info.training_context);
    out.set_weights_bytes(info.weights_bytes);
    out.set_parameters(info.parameters);
    out.set_description(info.description);
    out.set_on_gpu(info.on_gpu);
    out.set_has_chat_template(info.has_chat_template);
    out.set_knows_tools(info.knows_tools);
    out.set_thinks(info.thinks);
    out.set_sees(info.sees);
    out.set_load_us(to_us(info.load_time));
    out.set_untouched_bytes(info.untouched_bytes);
    if (info.shared.fd >= 0) {
        wire::SharedWeights& shared = *out.mutable_shared();
        shared.set_fd(info.shared.fd);
        shared.set_id(info.shared.id);
        shared.set_bytes(info.shared.bytes);
        shared.set_sibling(info.shared.sibling);
    }
    return out;
}

ModelInfo from_wire(const wire::Loaded& loaded) {
    ModelInfo out;
    out.context_tokens = loaded.context_tokens();
    out.context_per_sequence = loaded.context_per_sequence();
    out.training_context = loaded.training_context();
    out.weights_bytes = loaded.weights_bytes();
    out.parameters = loaded.parameters();
    out.description = loaded.description();
    out.on_gpu = loaded.on_gpu();
    out.has_chat_template = loaded.has_chat_template();
    out.knows_tools = loaded.knows_tools();
    out.thinks = loaded.thinks();
    out.sees = loaded.sees();
    out.load_time = from_us(loaded.load_us());
    out.untouched_bytes = loaded.untouched_bytes();
    if (loaded.has_shared()) {
        const wire::SharedWeights& shared = loaded.shared();
        out.shared = {shared.fd(), shared.id(), shared.bytes(), shared.sibling()};
    }
    return out;
}

wire::Stats to_wire(const EngineStats& stats) {
    wire::Stats out;
    for (const StatsField& field : kStatsFields) (out.*field.set)(stats.*field.value);
    return out;
}

EngineStats from_wire(const wire::Stats& stats) {
    EngineStats out;
    for (const StatsField& field : kStatsFields) out.*field.value = (stats.*field.get)();
    return out;
}

wire::ArtifactReport to_wire(std::uint64_t id, ArtifactReport report) {
    wire::ArtifactReport out;
    out.set_id(id);
    out.set_saved(report.saved);
    out.set_restored(report.restored);
    out.set_removed(report.removed);
    out.set_bytes(report.bytes);
    out.set_failed(report.failed);
    out.set_problem(std::move(report.problem));
    return out;
}

ArtifactReport from_wire(const wire::ArtifactReport& report) {
    return {.saved = report.saved(),
            .restored = report.restored(),
            .removed = report.removed(),
            .bytes = report.bytes(),
            .failed = report.failed(),
            .problem = report.problem()};
}

}  // namespace sutazai::ipc
