#include "ipc/wire.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <variant>

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

/// Values beyond the last one become the first.
template <typename T>
T enum_of(std::uint32_t value, T last) {
    return value <= static_cast<std::uint32_t>(last) ? static_cast<T>(value) : T{};
}

void set_message(wire::Message& to, ChatMessage message) {
    to.set_role(static_cast<std::uint32_t>(message.role));
    for (ContentPart& part : message.content) to.add_content()->set_text(std::move(part.text));
    to.set_name(std::move(message.name));
    to.set_reasoning(std::move(message.reasoning));
    for (ToolCall& call : message.tool_calls) {
        wire::ToolCall& call_to = *to.add_tool_calls();
        call_to.set_id(std::move(call.id));
        call_to.set_name(std::move(call.name));
        call_to.set_arguments(std::move(call.arguments));
    }
    to.set_tool_call_id(std::move(message.tool_call_id));
}

ChatMessage message_of(wire::Message message) {
    ChatMessage out;
    out.role = enum_of(message.role(), Role::kTool);
    for (wire::ContentPart& part : *message.mutable_content()) out.content.push_back({std::move(*part.mutable_text())});
    out.name = std::move(*message.mutable_name());
    out.reasoning = std::move(*message.mutable_reasoning());
    for (wire::ToolCall& call : *message.mutable_tool_calls()) {
        out.tool_calls.push_back(
            {std::move(*call.mutable_id()), std::move(*call.mutable_name()), std::move(*call.mutable_arguments())});
    }
    out.tool_call_id = std::move(*message.mutable_tool_call_id());
    return out;
}

void set_chat(wire::Chat& to, Chat chat) {
    to.set_turn(static_cast<std::uint32_t>(chat.turn));
    for (ChatMessage& message : chat.messages) set_message(*to.add_messages(), std::move(message));
    for (Tool& tool : chat.tools) {
        wire::Tool& tool_to = *to.add_tools();
        tool_to.set_name(std::move(tool.name));
        tool_to.set_description(std::move(tool.description));
        tool_to.set_parameters(std::move(tool.parameters));
        tool_to.set_strict(tool.strict);
    }
    to.set_tool_choice(static_cast<std::uint32_t>(chat.tool_choice));
    to.set_named_tool(std::move(chat.named_tool));
    to.set_one_call(!chat.parallel_tool_calls);
    to.set_template_arguments(std::move(chat.template_arguments));
    if (chat.reasoning == Reasoning{}) return;
    wire::Reasoning& reasoning = *to.mutable_reasoning();
    if (chat.reasoning.wanted) reasoning.set_wanted(*chat.reasoning.wanted);
    reasoning.set_effort(std::move(chat.reasoning.effort));
    if (chat.reasoning.budget_tokens >= 0) {
        reasoning.set_budget_tokens(static_cast<std::uint32_t>(chat.reasoning.budget_tokens));
    }
    reasoning.set_within_answer(!chat.reasoning.apart);
}

Chat chat_of(wire::Chat chat) {
    Chat out;
    out.turn = enum_of(chat.turn(), Turn::kOpen);
    for (wire::Message& message : *chat.mutable_messages()) out.messages.push_back(message_of(std::move(message)));
    for (wire::Tool& tool : *chat.mutable_tools()) {
        out.tools.push_back({std::move(*tool.mutable_name()), std::move(*tool.mutable_description()),
                             std::move(*tool.mutable_parameters()), tool.strict()});
    }
    out.tool_choice = enum_of(chat.tool_choice(), ToolChoice::kRequired);
    out.named_tool = std::move(*chat.mutable_named_tool());
    out.parallel_tool_calls = !chat.one_call();
    out.template_arguments = std::move(*chat.mutable_template_arguments());
    const wire::Reasoning& reasoning = chat.reasoning();
    if (reasoning.has_wanted()) out.reasoning.wanted = reasoning.wanted();
    out.reasoning.effort = reasoning.effort();
    if (reasoning.has_budget_tokens()) {
        constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
        out.reasoning.budget_tokens = static_cast<int>(std::min(reasoning.budget_tokens(), kMost));
    }
    out.reasoning.apart = !reasoning.within_answer();
    return out;
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

void set_infill(wire::Infill& out, Infill infill) {
    out.set_prefix(std::move(infill.prefix));
    out.set_suffix(std::move(infill.suffix));
    out.set_begun(std::move(infill.begun));
    out.set_trims(infill.trims);
    for (Infill::File& file : infill.files) {
        wire::Infill::File& to = *out.add_files();
        to.set_name(std::move(file.name));
        to.set_text(std::move(file.text));
    }
}

Infill infill_of(wire::Infill infill) {
    Infill out{std::move(*infill.mutable_prefix()), std::move(*infill.mutable_suffix()),
               std::move(*infill.mutable_begun())};
    for (wire::Infill::File& file : *infill.mutable_files()) {
        out.files.push_back({std::move(*file.mutable_name()), std::move(*file.mutable_text())});
    }
    out.trims = infill.trims();
    return out;
}

void set_more(wire::MoreSampling& out, const MoreSampling& more) {
    out.set_repeat_last_n(more.repeat_last_n);
    out.set_top_n_sigma(more.top_n_sigma);
    out.set_typical_p(more.typical_p);
    out.set_xtc_probability(more.xtc_probability);
    out.set_xtc_threshold(more.xtc_threshold);
    out.set_dynatemp_range(more.dynatemp_range);
    out.set_dynatemp_exponent(more.dynatemp_exponent);
    out.set_dry_multiplier(more.dry_multiplier);
    out.set_dry_base(more.dry_base);
    out.set_dry_allowed_length(more.dry_allowed_length);
    out.set_dry_penalty_last_n(more.dry_penalty_last_n);
    out.set_mirostat(more.mirostat);
    out.set_mirostat_tau(more.mirostat_tau);
    out.set_mirostat_eta(more.mirostat_eta);
    out.set_min_keep(more.min_keep);
    for (const std::string& breaker : more.dry_sequence_breakers) out.add_dry_sequence_breakers(breaker);
    for (const std::string& name : more.samplers) out.add_samplers(name);
}

MoreSampling more_of(const wire::MoreSampling& more) {
    MoreSampling out;
    out.repeat_last_n = more.repeat_last_n();
    out.top_n_sigma = more.top_n_sigma();
    out.typical_p = more.typical_p();
    out.xtc_probability = more.xtc_probability();
    out.xtc_threshold = more.xtc_threshold();
    out.dynatemp_range = more.dynatemp_range();
    out.dynatemp_exponent = more.dynatemp_exponent();
    out.dry_multiplier = more.dry_multiplier();
    out.dry_base = more.dry_base();
    out.dry_allowed_length = more.dry_allowed_length();
    out.dry_penalty_last_n = more.dry_penalty_last_n();
    out.mirostat = more.mirostat();
    out.mirostat_tau = more.mirostat_tau();
    out.mirostat_eta = more.mirostat_eta();
    out.min_keep = more.min_keep();
    out.dry_sequence_breakers.assign(more.dry_sequence_breakers().begin(), more.dry_sequence_breakers().end());
    out.samplers.assign(more.samplers().begin(), more.samplers().end());
    return out;
}

}  // namespace

wire::Submit to_wire(RequestId id, GenerationRequest request) {
    wire::Submit out;
    out.set_request_id(id);
    if (auto* chat = std::get_if<Chat>(&request.prompt)) {
        set_chat(*out.mutable_chat(), std::move(*chat));
    } else if (const auto* ids = std::get_if<std::vector<std::int32_t>>(&request.prompt)) {
        out.mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
    } else if (auto* infill = std::get_if<Infill>(&request.prompt)) {
        set_infill(*out.mutable_infill(), std::move(*infill));
    } else if (auto* bare = std::get_if<BareText>(&request.prompt)) {
        wire::BareText& to = *out.mutable_bare_text();
        to.set_text(std::move(bare->text));
        to.set_around(bare->around);
        to.set_special(bare->special);
    } else if (auto* pair = std::get_if<RankedPair>(&request.prompt)) {
        out.mutable_ranked_pair()->set_query(std::move(pair->query));
        out.mutable_ranked_pair()->set_document(std::move(pair->document));
    } else {
        out.set_text(std::move(std::get<std::string>(request.prompt)));
    }
    wire::Sampling& sampling = *out.mutable_sampling();
    sampling.set_temperature(request.sampling.temperature);
    sampling.set_top_k(request.sampling.top_k);
    sampling.set_top_p(request.sampling.top_p);
    sampling.set_min_p(request.sampling.min_p);
    sampling.set_repeat_penalty(request.sampling.repeat_penalty);
    sampling.set_presence_penalty(request.sampling.presence_penalty);
    sampling.set_frequency_penalty(request.sampling.frequency_penalty);
    if (request.sampling.seed) sampling.set_seed(*request.sampling.seed);
    for (const LogitBias& bias : request.sampling.logit_bias) {
        wire::LogitBias& to = *sampling.add_logit_bias();
        to.set_token(bias.token);
        to.set_bias(bias.bias);
    }
    if (request.sampling.more) set_more(*sampling.mutable_more(), *request.sampling.more);
    out.set_max_tokens(request.max_tokens);
    for (std::string& stop : request.stop) out.add_stop(std::move(stop));
    out.set_least_indent(static_cast<std::uint32_t>(request.least_indent));
    out.set_most_time_ms(static_cast<std::uint32_t>(request.most_time.count()));
    out.set_ignore_eos(request.ignore_eos);
    out.set_priority(request.priority);
    out.set_cache_salt(std::move(request.cache_salt));
    out.set_task(static_cast<std::uint32_t>(request.task));
    if (request.top_logprobs >= 0) out.set_top_logprobs(static_cast<std::uint32_t>(request.top_logprobs));
    out.set_echo(request.echo);
    out.set_grammar(std::move(request.grammar));
    out.set_json_schema(std::move(request.json_schema));
    out.set_n(static_cast<std::uint32_t>(request.n));
    out.mutable_context()->Add(request.context.begin(), request.context.end());
    out.set_truncate(request.truncate);
    out.set_returns_tokens(request.returns_tokens);
    out.set_chat_template(std::move(request.chat_template));
    for (AdapterChoice& adapter : request.adapters) {
        wire::Adapter& to = *out.add_adapters();
        to.set_name(std::move(adapter.name));
        to.set_path(std::move(adapter.path));
        to.set_scale(adapter.scale);
    }
    return out;
}

GenerationRequest from_wire(wire::Submit submit) {
    GenerationRequest out;
    if (submit.has_chat()) {
        out.prompt = chat_of(std::move(*submit.mutable_chat()));
    } else if (submit.has_token_ids()) {
        out.prompt = std::vector<std::int32_t>(submit.token_ids().ids().begin(), submit.token_ids().ids().end());
    } else if (submit.has_infill()) {
        out.prompt = infill_of(std::move(*submit.mutable_infill()));
    } else if (submit.has_bare_text()) {
        wire::BareText& bare = *submit.mutable_bare_text();
        out.prompt = BareText{std::move(*bare.mutable_text()), bare.around(), bare.special()};
    } else if (submit.has_ranked_pair()) {
        wire::RankedPair& pair = *submit.mutable_ranked_pair();
        out.prompt = RankedPair{std::move(*pair.mutable_query()), std::move(*pair.mutable_document())};
    } else {
        out.prompt = std::move(*submit.mutable_text());
    }
    const wire::Sampling& sampling = submit.sampling();
    out.sampling.temperature = sampling.temperature();
    out.sampling.top_k = sampling.top_k();
    out.sampling.top_p = sampling.top_p();
    out.sampling.min_p = sampling.min_p();
    out.sampling.repeat_penalty = sampling.repeat_penalty();
    out.sampling.presence_penalty = sampling.presence_penalty();
    out.sampling.frequency_penalty = sampling.frequency_penalty();
    if (sampling.has_seed()) out.sampling.seed = sampling.seed();
    for (const wire::LogitBias& bias : sampling.logit_bias())
        out.sampling.logit_bias.push_back({bias.token(), bias.bias()});
    if (sampling.has_more()) out.sampling.more = more_of(sampling.more());
    out.max_tokens = submit.max_tokens();
    for (std::string& stop : *submit.mutable_stop()) out.stop.push_back(std::move(stop));
    out.least_indent = static_cast<int>(submit.least_indent());
    out.most_time = std::chrono::milliseconds(submit.most_time_ms());
    out.ignore_eos = submit.ignore_eos();
    out.priority = submit.priority();
    out.cache_salt = std::move(*submit.mutable_cache_salt());
    out.task = enum_of(submit.task(), Task::kRead);
    if (submit.has_top_logprobs()) {
        out.top_logprobs = static_cast<int>(std::min<std::uint32_t>(submit.top_logprobs(), kMaxTopLogprobs));
    }
    out.echo = submit.echo();
    out.grammar = std::move(*submit.mutable_grammar());
    out.json_schema = std::move(*submit.mutable_json_schema());
    out.n = static_cast<int>(std::clamp<std::uint32_t>(submit.n(), 1, kMaxChoices));
    out.context.assign(submit.context().begin(), submit.context().end());
    out.truncate = submit.truncate();
    out.returns_tokens = submit.returns_tokens();
    out.chat_template = std::move(*submit.mutable_chat_template());
    for (wire::Adapter& adapter : *submit.mutable_adapters()) {
        out.adapters.push_back(
            {std::move(*adapter.mutable_name()), std::move(*adapter.mutable_path()), adapter.scale()});
    }
    return out;
}

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
