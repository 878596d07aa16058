#include "api/ollama.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/image_fields.h"
#include "api/response_format.h"
#include "api/unsupported.h"
#include "catalog/ollama_parameters.h"

namespace sutazai::api::ollama {

namespace json = boost::json;

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

void read_idle_options(FieldReader& options) {
    for (const std::string_view name : catalog::kIdleOllamaOptions) (void)options.find(name);
}

/// A method of sampling that is off with one value, and not supported with others.
void refuse_method(FieldReader& options, const char* name, double off) {
    const json::value* value = options.find_unsupported(name);
    if (value == nullptr || (value->is_number() && value->to_number<double>() == off)) return;
    options.refuse(name, fmt::format("is not supported; it is off with {}", off));
}

/// Ollama's own defaults where they are others than llama.cpp's.
void take_defaults(SamplingParams& sampling) {
    sampling.top_p = 0.9F;
    sampling.min_p = 0;
}

/// `options` as an object to be read; nothing when there are none.
const json::object* options_of(FieldReader& fields) {
    const json::value* value = fields.find("options");
    if (value == nullptr) return nullptr;
    if (value->is_object()) return &value->get_object();
    fields.refuse("options", fmt::format("must be an object (got {})", kind_of(*value)));
    return nullptr;
}

void read_options(FieldReader& fields, AnswerBody& out) {
    SamplingParams& sampling = out.generation.sampling;
    take_defaults(sampling);
    const json::object* object = options_of(fields);
    if (object == nullptr) return;
    FieldReader options(*object, fields.error(), fields.path_of("options."));
    read_sampling(options, sampling);
    read_stop(options, out.generation.stop);
    int most = -1;
    options.integer("num_predict", -2, kMaxInt, most);
    if (most == 0) options.refuse("num_predict", "must be 1 or more, or -1 for as many as the context holds");
    out.generation.max_tokens = most < 0 ? -1 : most;
    note_given(options, out.generation.given);
    out.generation.given.max_tokens = options.find("num_predict") != nullptr;
    options.integer("num_ctx", 1, kMaxInt, out.context_tokens);
    refuse_method(options, "tfs_z", 1);
    read_idle_options(options);
    refuse_unknown(options);
}

/// "json" or a JSON Schema.
void read_format(FieldReader& fields, std::string& schema) {
    const json::value* format = fields.find("format");
    if (format == nullptr) return;
    if (format->is_object()) return read_schema(fields, "format", *format, schema);
    const json::string* name = format->if_string();
    if (name == nullptr || (!name->empty() && *name != "json")) {
        return fields.refuse("format", "must be \"json\" or a JSON Schema");
    }
    if (!name->empty()) schema = R"({"type":"object"})";
}

/// Yes, no, or how much.
void read_think(FieldReader& fields, AnswerBody& out) {
    const json::value* think = fields.find("think");
    if (think == nullptr) return;
    auto* chat = std::get_if<Chat>(&out.generation.prompt);
    std::string effort;
    if (const auto* word = think->if_string()) effort = std::string_view(*word);
    const bool is_effort = effort == "low" || effort == "medium" || effort == "high" || effort == "max";
    if (!is_effort && !think->is_bool()) {
        return fields.refuse("think", R"(must be true, false, "low", "medium", "high" or "max")");
    }
    const bool wanted = is_effort || think->get_bool();
    if (chat == nullptr) {
        if (wanted && out.order == Order::kAnswer)
            fields.refuse("think", "goes with chats and prompts that are not raw");
        return;
    }
    chat->reasoning.wanted = wanted;
    chat->reasoning.effort = std::move(effort);
    out.demands_thinking = wanted;
}

/// A full context ends an answer here, always.
void refuse_shift(FieldReader& fields) {
    bool wanted = false;
    fields.boolean("shift", wanted);
    if (wanted) fields.refuse("shift", "is not supported: an answer ends where the context is full");
}

/// What both routes share. `has_prompt`: there is something to be answered.
void read_shared(FieldReader& fields, AnswerBody& out, bool has_prompt) {
    out.stream = true;
    fields.string("model", out.model);
    fields.boolean("stream", out.stream);
    read_keep_alive(fields, out.keep_alive);
    read_options(fields, out);
    read_adapters(fields, out.generation);
    read_format(fields, out.generation.json_schema);
    read_logprobs(fields, out.generation.top_logprobs);
    refuse_shift(fields);
    if (has_prompt) return;
    const bool unloads = out.keep_alive && out.keep_alive->count() == 0;
    out.order = unloads ? Order::kUnload : Order::kLoad;
}

/// Clients that know OpenAI's API put them beside the messages, where Ollama ignores them.
void point_to_options(FieldReader& fields) {
    for (const char* name : {"temperature", "top_p", "top_k", "min_p", "seed", "stop", "num_ctx", "num_predict"}) {
        if (fields.find_unsupported(name) != nullptr) return fields.refuse(name, "belongs into \"options\"");
    }
}

/// What an earlier answer gave back.
void read_context(FieldReader& fields, std::vector<std::int32_t>& out) {
    const json::value* value = fields.find("context");
    if (value == nullptr) return;
    if (!value->is_array()) {
        return fields.refuse("context", fmt::format("must be an array of token ids (got {})", kind_of(*value)));
    }
    out.reserve(value->get_array().size());
    for (const json::value& one : value->get_array()) {
        if (!one.is_int64() || one.get_int64() < 0 || one.get_int64() > kMaxInt) {
            return fields.refuse("context", "must be an array of token ids, as an earlier answer had them");
        }
        out.push_back(static_cast<std::int32_t>(one.get_int64()));
    }
}

/// What the model is to read: a text as it is, a gap in one, or a chat of one message.
void read_generate_prompt(FieldReader& fields, AnswerBody& request, std::string prompt) {
    std::string system;
    std::string suffix;
    bool raw = false;
    bool truncate = false;
    GenerationRequest& generation = request.generation;
    fields.string("system", system);
    fields.string("suffix", suffix);
    fields.string("template", generation.chat_template);
    fields.boolean("raw", raw);
    fields.boolean("truncate", truncate);
    read_context(fields, generation.context);
    ChatMessage question = text_message(Role::kUser, std::move(prompt));
    read_image_list(fields, question);
    if (truncate) fields.refuse("truncate", "is not supported here: one prompt is never cut; /api/chat cuts chats");
    for (const auto& [is_so, what] : {std::pair{raw, "raw, which takes the prompt as it is"},
                                      std::pair{!suffix.empty(), "suffix, which is about the prompt's text alone"}}) {
        if (!is_so) continue;
        if (!system.empty()) fields.refuse("system", fmt::format("does not go with {}", what));
        if (!generation.context.empty()) fields.refuse("context", fmt::format("does not go with {}", what));
        if (!generation.chat_template.empty()) fields.refuse("template", fmt::format("does not go with {}", what));
        if (question.content.size() > 1) fields.refuse("images", fmt::format("do not go with {}", what));
    }
    std::string& text = question.content.back().text;
    if (!suffix.empty()) {
        if (raw) fields.refuse("suffix", "does not go with raw, which takes the prompt as it is");
        generation.prompt = Infill{std::move(text), std::move(suffix)};
    } else if (raw) {
        generation.prompt = std::move(text);
    } else {
        Chat chat;
        if (!system.empty()) chat.messages.push_back(text_message(Role::kSystem, std::move(system)));
        // A context is tokens, and an image has none that could be given back.
        generation.returns_tokens = question.content.size() == 1;
        chat.messages.push_back(std::move(question));
        check_images(fields, "images", chat);
        generation.prompt = std::move(chat);
        request.plain_without_template = generation.chat_template.empty();
    }
}

}  // namespace

Result<AnswerBody> parse_chat(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    AnswerBody request;
    const bool has_prompt = !is_absent(fields.find("messages"));
    read_shared(fields, request, has_prompt);
    if (has_prompt) request.generation.prompt = read_chat(fields);
    read_think(fields, request);
    fields.boolean("truncate", request.generation.truncate);
    point_to_options(fields);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

Result<AnswerBody> parse_generate(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    AnswerBody request;
    std::string prompt;
    fields.string("prompt", prompt);
    const bool has_suffix = fields.find("suffix") != nullptr && !is_absent(fields.find("suffix"));
    read_shared(fields, request, !prompt.empty() || has_suffix);
    read_generate_prompt(fields, request, std::move(prompt));
    read_think(fields, request);
    point_to_options(fields);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

void read_model_name(FieldReader& fields, std::string& out) {
    std::string name;
    fields.string("model", out);
    fields.string("name", name);
    if (out.empty()) out = std::move(name);
    if (out.empty()) fields.refuse("model", "is missing");
}

void read_load_options(FieldReader& fields) {
    const json::object* object = options_of(fields);
    if (object == nullptr) return;
    FieldReader options(*object, fields.error(), fields.path_of("options."));
    read_idle_options(options);
    refuse_unknown(options, {"num_ctx"});
}

}  // namespace sutazai::api::ollama
