#include "api/llama_completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>

#include "api/answer_parts.h"
#include "api/openai_completions.h"
#include "api/response_format.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::llama_server {

namespace json = boost::json;

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr int kMostIndent = 1000;
constexpr std::int64_t kMostTimeMs = 86'400'000;
constexpr std::size_t kMostFiles = 256;
constexpr std::size_t kMostResponseFields = 64;

void read_response_fields(FieldReader& fields, std::vector<std::string>& out) {
    const json::value* value = fields.find("response_fields");
    if (value == nullptr) return;
    if (!value->is_array() || value->get_array().size() > kMostResponseFields) {
        return fields.refuse("response_fields",
                             fmt::format("must be a list of at most {} strings", kMostResponseFields));
    }
    for (const json::value& entry : value->get_array()) {
        const std::string place = fmt::format("response_fields[{}]", out.size());
        if (!entry.is_string()) return fields.refuse(place, fmt::format("must be a string (got {})", kind_of(entry)));
        out.emplace_back(std::string_view(entry.get_string()));
    }
}

void read_limits(FieldReader& fields, Completion& out) {
    GenerationRequest& generation = out.generation;
    int n_predict = generation.max_tokens;
    fields.integer("n_predict", -1, kMaxInt, n_predict);
    out.only_prompt = n_predict == 0;
    generation.max_tokens = out.only_prompt ? 1 : n_predict;
    generation.given.max_tokens |= fields.find("n_predict") != nullptr;
    fields.integer("n_indent", 0, kMostIndent, generation.least_indent);
    std::int64_t most_ms = -1;
    fields.integer("t_max_predict_ms", -1, kMostTimeMs, most_ms);
    generation.most_time = std::chrono::milliseconds(std::max<std::int64_t>(most_ms, 0));
}

/// What both routes take; refuses what nobody has read.
void read_common(FieldReader& fields, Completion& out) {
    GenerationRequest& generation = out.generation;
    read_generation_fields(fields, out);
    read_limits(fields, out);
    if (const json::value* schema = fields.find("json_schema")) {
        read_schema(fields, "json_schema", *schema, generation.json_schema);
        if (!generation.grammar.empty()) fields.refuse("grammar", "and json_schema exclude each other");
    }
    fields.boolean("return_tokens", generation.returns_tokens);
    read_response_fields(fields, out.response_fields);
    int n_probs = 0;
    fields.integer("n_probs", 0, kMaxInt, n_probs);
    if (n_probs > 0) fields.refuse("n_probs", "is not supported; /v1/completions has logprobs");
    for (const char* name : {"image_data", "lora"}) {
        const json::value* value = fields.find_unsupported(name);
        if (value == nullptr || (value->is_array() && value->get_array().empty())) continue;
        fields.refuse(name, "is not supported");
    }
    // What changes no answer here: contexts are not shifted, and prefixes are shared anyway.
    for (const char* name :
         {"n_keep", "n_discard", "n_cache_reuse", "t_max_prompt_ms", "timings_per_token", "return_progress",
          "sse_ping_interval", "verbose", "backend_sampling", "post_sampling_probs", "stream_options"}) {
        (void)fields.find(name);
    }
    refuse_unsupported(fields);
}

/// Reads a body with `read`, which goes before what both routes take.
template <typename Read, typename Finish>
Result<Completion> parse(std::string_view body, Read read, Finish finish) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    Completion out;
    auto prompt = read(fields);
    read_common(fields, out);
    if (error) return std::unexpected(std::move(*error));
    finish(out, std::move(prompt));
    return out;
}

Infill::File read_file(FieldReader& fields, const std::string& place, const json::value& value) {
    Infill::File file{"tmp", {}};
    if (!value.is_object()) {
        fields.refuse(place, fmt::format("must be an object (got {})", kind_of(value)));
        return file;
    }
    FieldReader inner(value.get_object(), fields.error(), fields.path_of(place) + ".");
    if (inner.find("text") == nullptr) inner.refuse("text", "is missing");
    inner.string("text", file.text);
    inner.string("filename", file.name);
    refuse_unknown(inner, {"time"});
    return file;
}

Infill read_gap(FieldReader& fields) {
    Infill gap;
    gap.trims = true;
    for (const auto& [name, text] : {std::pair{"input_prefix", &gap.prefix}, std::pair{"input_suffix", &gap.suffix}}) {
        if (fields.find(name) == nullptr) fields.refuse(name, "is missing");
        fields.string(name, *text);
    }
    fields.string("prompt", gap.begun);
    const json::value* extra = fields.find("input_extra");
    if (extra == nullptr) return gap;
    if (!extra->is_array() || extra->get_array().size() > kMostFiles) {
        fields.refuse("input_extra", fmt::format("must be a list of at most {} files", kMostFiles));
        return gap;
    }
    for (const json::value& entry : extra->get_array()) {
        gap.files.push_back(read_file(fields, fmt::format("input_extra[{}]", gap.files.size()), entry));
        if (fields.failed()) break;
    }
    return gap;
}

json::object settings_json(const GenerationRequest& request) {
    const SamplingParams& sampling = request.sampling;
    json::array stops;
    for (const std::string& stop : request.stop) stops.push_back(json::string(stop));
    return {{"n_predict", request.max_tokens},
            {"seed", sampling.seed ? json::value(static_cast<std::int64_t>(*sampling.seed)) : json::value(-1)},
            {"temperature", as_written(sampling.temperature)},
            {"top_k", sampling.top_k},
            {"top_p", as_written(sampling.top_p)},
            {"min_p", as_written(sampling.min_p)},
            {"repeat_penalty", as_written(sampling.repeat_penalty)},
            {"presence_penalty", as_written(sampling.presence_penalty)},
            {"frequency_penalty", as_written(sampling.frequency_penalty)},
            {"n_indent", request.least_indent},
            {"stop", std::move(stops)}};
}

const char* stop_type(const Finished& finished) {
    if (finished.reason != FinishReason::kStop) return "limit";
    return finished.stop.empty() ? "eos" : "word";
}

json::array generated(const Finished& finished) {
    const std::size_t n_prompt = std::min<std::size_t>(finished.usage.prompt_tokens, finished.tokens.size());
    json::array tokens;
    for (const std::int32_t token : std::span(finished.tokens).subspan(n_prompt)) tokens.push_back(token);
    return tokens;
}

/// The fields that the paths ("timings/prompt_n") lead to, under these as names. Others are left out.
json::object selected(const json::object& all, std::span<const std::string> paths) {
    json::object out;
    for (const std::string& path : paths) {
        const json::object* at = &all;
        std::string_view rest = path;
        const json::value* found = nullptr;
        while (at != nullptr) {
            const std::size_t slash = rest.find('/');
            found = at->if_contains(rest.substr(0, slash));
            if (found == nullptr || slash == std::string_view::npos) break;
            rest.remove_prefix(slash + 1);
            at = found->if_object();
            found = nullptr;
        }
        if (found != nullptr) out[path] = *found;
    }
    return out;
}

json::object end_json(const Completion& request, std::string_view model, std::size_t index, std::string_view text,
                      const Finished& finished) {
    const Usage& usage = finished.usage;
    json::object all{{"index", index},
                     {"content", text},
                     {"tokens", request.only_prompt ? json::array() : generated(finished)},
                     {"id_slot", -1},
                     {"stop", true},
                     {"model", model},
                     {"tokens_predicted", request.only_prompt ? 0 : usage.completion_tokens},
                     {"tokens_evaluated", usage.prompt_tokens},
                     {"generation_settings", settings_json(request.generation)},
                     {"prompt", request.prompt},
                     {"has_new_line", text.find('\n') != std::string_view::npos},
                     {"truncated", false},
                     {"stop_type", request.only_prompt ? "limit" : stop_type(finished)},
                     {"stopping_word", finished.stop},
                     {"tokens_cached", usage.prompt_tokens + usage.completion_tokens},
                     {"timings", timings_json(finished)}};
    return request.response_fields.empty() ? all : selected(all, request.response_fields);
}

}  // namespace

Result<Completion> parse_completion(std::string_view body, std::size_t max_generations) {
    const auto read = [=](FieldReader& fields) { return openai::read_prompts(fields, "prompt", max_generations); };
    const auto finish = [](Completion& out, std::vector<openai::PromptItem> prompts) {
        if (prompts.size() == 1) {
            if (const auto* text = std::get_if<std::string>(&prompts.front())) out.prompt = *text;
        }
        for (openai::PromptItem& prompt : prompts) {
            GenerationRequest& one = out.generations.emplace_back(out.generation);
            std::visit([&](auto& item) { one.prompt = std::move(item); }, prompt);
        }
    };
    return parse(body, read, finish);
}

Result<Completion> parse_infill(std::string_view body) {
    const auto finish = [](Completion& out, Infill gap) {
        out.prompt = gap.begun;
        out.generations.push_back(out.generation);
        out.generations.back().prompt = std::move(gap);
    };
    return parse(body, read_gap, finish);
}

void append_chunk(std::string& out, std::size_t index, std::string_view text, std::uint32_t n_tokens) {
    out += R"(data: {"index":)";
    append_number(out, index);
    out += R"(,"content":)";
    append_quoted(out, text);
    out += R"(,"tokens":[],"stop":false,"id_slot":-1,"tokens_predicted":)";
    append_number(out, n_tokens);
    out += "}\n\n";
}

void append_end(std::string& out, const Completion& request, std::string_view model, std::size_t index,
                const Finished& finished) {
    out += "data: ";
    append_json(out, end_json(request, model, index, "", finished));
    out += "\n\n";
}

std::string encode_completion(const Completion& request, std::string_view model, std::span<const Choice> choices) {
    json::array all;
    for (const Choice& choice : choices) {
        const std::string_view text = request.only_prompt ? std::string_view() : choice.answer.content;
        all.push_back(end_json(request, model, all.size(), text, choice.finished));
    }
    return to_json(all.size() == 1 ? all.front() : json::value(std::move(all)));
}

}  // namespace sutazai::api::llama_server
