#include "api/openai_completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <numeric>

#include "api/answer_parts.h"
#include "api/logprobs_json.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

std::vector<std::int32_t> read_ids(FieldReader& fields, const std::string& name, const json::array& list) {
    std::vector<std::int32_t> ids;
    ids.reserve(list.size());
    for (const json::value& entry : list) {
        const auto* id = entry.if_int64();
        if (id == nullptr || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
            fields.refuse(fmt::format("{}[{}]", name, ids.size()), "must be a token id, a whole number from 0 on");
            return ids;
        }
        ids.push_back(static_cast<std::int32_t>(*id));
    }
    return ids;
}

/// An entry of the list, or the field itself.
void read_prompt(FieldReader& fields, const std::string& name, const json::value& value,
                 std::vector<PromptItem>& prompts) {
    if (value.is_string()) {
        if (value.get_string().empty()) return fields.refuse(name, "must not be empty");
        prompts.emplace_back(std::string(std::string_view(value.get_string())));
    } else if (value.is_array()) {
        if (value.get_array().empty()) return fields.refuse(name, "must not be empty");
        prompts.emplace_back(read_ids(fields, name, value.get_array()));
    } else {
        fields.refuse(name, fmt::format("must be a string or an array of token ids (got {})", kind_of(value)));
    }
}

void append_choice_head(std::string& out, std::size_t index, std::string_view text) {
    out += R"({"text":)";
    append_quoted(out, text);
    out += R"(,"index":)";
    append_number(out, index);
    out += R"(,"logprobs":)";
}

void append_finish(std::string& out, const char* reason) {
    out += R"(,"finish_reason":)";
    if (reason == nullptr) {
        out += "null}";
    } else {
        out += '"';
        out += reason;
        out += "\"}";
    }
}

}  // namespace

std::vector<std::int32_t> read_token_ids(FieldReader& fields, std::string_view name) {
    const json::value* value = fields.find(name);
    if (value == nullptr || !value->is_array()) {
        fields.refuse(name, value == nullptr ? std::string("is missing")
                                             : fmt::format("must be a list of token ids (got {})", kind_of(*value)));
        return {};
    }
    return read_ids(fields, std::string(name), value->get_array());
}

std::vector<PromptItem> read_prompts(FieldReader& fields, std::string_view name, std::size_t max_items) {
    std::vector<PromptItem> prompts;
    const json::value* value = fields.find(name);
    if (value == nullptr) {
        fields.refuse(name, "is missing");
        return prompts;
    }
    const std::string field(name);
    if (!value->is_array() || value->get_array().empty() || value->get_array().front().is_number()) {
        if (!value->is_string() && !value->is_array()) {
            fields.refuse(name,
                          fmt::format("must be a string, a list of strings, of token ids or of lists of token ids "
                                      "(got {})",
                                      kind_of(*value)));
            return prompts;
        }
        read_prompt(fields, field, *value, prompts);
        return prompts;
    }
    const json::array& list = value->get_array();
    if (list.size() > max_items) {
        fields.refuse(name, fmt::format("must hold at most {} entries (got {})", max_items, list.size()));
        return prompts;
    }
    prompts.reserve(list.size());
    for (std::size_t i = 0; i < list.size() && !fields.failed(); ++i) {
        read_prompt(fields, fmt::format("{}[{}]", name, i), list[i], prompts);
    }
    return prompts;
}

std::vector<GenerationRequest> CompletionRequest::take_generations() {
    std::vector<GenerationRequest> all;
    all.reserve(prompts.size());
    for (PromptItem& prompt : prompts) {
        GenerationRequest& request = all.emplace_back(generation);
        request.n = best_of;
        std::visit([&](auto& item) { request.prompt = std::move(item); }, prompt);
        if (auto* text = std::get_if<std::string>(&request.prompt); text != nullptr && !suffix.empty()) {
            request.prompt = Infill{std::move(*text), suffix};
        }
    }
    prompts.clear();
    return all;
}

namespace {

void read_suffix(FieldReader& fields, CompletionRequest& request) {
    fields.string("suffix", request.suffix);
    if (request.suffix.empty()) return;
    if (request.generation.echo) fields.refuse("suffix", "does not go with echo");
    for (const PromptItem& prompt : request.prompts) {
        if (!std::holds_alternative<std::string>(prompt)) fields.refuse("suffix", "needs prompts that are texts");
    }
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body, std::size_t max_generations) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    CompletionRequest request;
    GenerationRequest& generation = request.generation;
    request.prompts = read_prompts(fields, "prompt", max_generations);
    request.n_prompts = request.prompts.size();
    generation.max_tokens = kDefaultCompletionTokens;
    fields.boolean("echo", generation.echo);
    read_generation_fields(fields, request, generation.echo ? 0 : 1);
    read_stream_options(fields, request.include_usage);

    int logprobs = -1;
    fields.integer("logprobs", 0, kMaxCompletionLogprobs, logprobs);
    request.logprobs = logprobs >= 0;
    generation.top_logprobs = logprobs;
    fields.integer("n", 1, kMaxChoices, request.n);
    request.best_of = request.n;
    fields.integer("best_of", 1, std::max(kMaxBestOf, request.n), request.best_of);
    if (request.best_of < request.n) {
        fields.refuse("best_of", fmt::format("must be at least n, which is {} (got {})", request.n, request.best_of));
    }
    if (request.best_of > request.n) {
        if (request.stream) fields.refuse("best_of", "above n does not go with a stream");
        generation.top_logprobs = std::max(generation.top_logprobs, 0);
    }
    const std::size_t n_generations = request.prompts.size() * static_cast<std::size_t>(request.best_of);
    if (n_generations > max_generations) {
        fields.refuse("prompt", fmt::format("times n or best_of makes {} generations; at most {} are allowed",
                                            n_generations, max_generations));
    }
    read_suffix(fields, request);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

CompletionChunkEncoder::CompletionChunkEncoder(const Identity& identity, bool include_usage, bool logprobs,
                                               std::size_t n_choices)
    : head_(chunk_head(identity, "text_completion")),
      include_usage_(include_usage),
      logprobs_(logprobs),
      offsets_(n_choices, 0) {
    tail_ = include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
}

void CompletionChunkEncoder::content(std::string& out, std::size_t index, std::string_view text,
                                     std::span<const TokenScore> scores) {
    out += head_;
    append_choice_head(out, index, text);
    if (logprobs_) {
        append_json(out, completion_logprobs(scores, offsets_.at(index)));
    } else {
        out += "null";
    }
    append_finish(out, nullptr);
    out += tail_;
}

void CompletionChunkEncoder::finish(std::string& out, std::size_t index, FinishReason reason) const {
    out += head_;
    append_choice_head(out, index, "");
    out += "null";
    append_finish(out, to_string(reason));
    out += tail_;
}

void CompletionChunkEncoder::end(std::string& out, const Usage& usage) const {
    if (include_usage_) {
        out += head_;
        out += R"(],"usage":)";
        append_json(out, usage_json(usage));
        out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
}

std::string encode_completion(const Identity& identity, const CompletionRequest& request,
                              std::span<const Choice> choices) {
    const auto best_of = static_cast<std::size_t>(request.best_of);
    const auto n = static_cast<std::size_t>(request.n);
    json::array list;
    for (std::size_t first = 0; first + best_of <= choices.size(); first += best_of) {
        std::vector<const Choice*> of_prompt;
        for (const Choice& choice : choices.subspan(first, best_of)) of_prompt.push_back(&choice);
        if (best_of > n) {
            std::ranges::stable_sort(of_prompt, std::greater<>(), [](const Choice* c) { return mean_logprob(*c); });
            of_prompt.resize(n);
        }
        for (const Choice* choice : of_prompt) {
            std::size_t offset = 0;
            list.push_back({{"text", choice->answer.content},
                            {"index", list.size()},
                            {"logprobs", request.logprobs ? json::value(completion_logprobs(choice->scores, offset))
                                                          : json::value()},
                            {"finish_reason", to_string(choice->finished.reason)}});
        }
    }
    json::object answer = head_json(identity, "text_completion");
    answer["choices"] = std::move(list);
    answer["usage"] = usage_json(total_usage(choices, best_of));
    return to_json(answer);
}

}  // namespace sutazai::api::openai
