#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <variant>

#include "ipc/wire.h"

/// What is asked of an engine, on the wire; what comes back is in wire.cpp.
namespace sutazai::ipc {
namespace {

/// Values beyond the last one become the first.
template <typename T>
T enum_of(std::uint32_t value, T last) {
    return value <= static_cast<std::uint32_t>(last) ? static_cast<T>(value) : T{};
}

void set_message(wire::Message& to, ChatMessage message) {
    to.set_role(static_cast<std::uint32_t>(message.role));
    for (ContentPart& part : message.content) {
        wire::ContentPart& part_to = *to.add_content();
        part_to.set_text(std::move(part.text));
        if (part.image != nullptr) part_to.set_image(part.image->bytes);
    }
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
    for (wire::ContentPart& part : *message.mutable_content()) {
        ContentPart& part_out = out.content.emplace_back(std::move(*part.mutable_text()));
        if (part.image().empty()) continue;
        const Digest digest = sha256(std::as_bytes(std::span(part.image())));
        part_out.image = std::make_shared<const Image>(Image{std::move(*part.mutable_image()), digest});
    }
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

}  // namespace sutazai::ipc
