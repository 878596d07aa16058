#include "api/responses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <utility>
#include <variant>

#include "api/answer_parts.h"
#include "api/openai.h"
#include "api/response_format.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::responses {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxMetadataNameBytes = 64;
constexpr std::size_t kMaxMetadataValueBytes = 512;

/// What changes no answer unless the answer has items that there are none of here.
constexpr std::array<std::string_view, 6> kIdleIncludes = {
    "file_search_call.results",      "web_search_call.results",       "web_search_call.action.sources",
    "message.input_image.image_url", "code_interpreter_call.outputs", "computer_call_output.output.image_url"};

/// Of Chat Completions, and what they are called here.
constexpr std::array<std::pair<const char*, const char*>, 6> kOtherNames = {{
    {"max_tokens", "is called max_output_tokens here"},
    {"max_completion_tokens", "is called max_output_tokens here"},
    {"messages", "is called input here"},
    {"response_format", "is called text.format here"},
    {"logprobs", "is asked for by include: [\"message.output_text.logprobs\"] here"},
    {"functions", "is called tools here"},
}};

const json::object* object_of(FieldReader& fields, const char* name) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return nullptr;
    if (const auto* object = value->if_object()) return object;
    fields.refuse(name, fmt::format("must be an object (got {})", kind_of(*value)));
    return nullptr;
}

json::value copy_of(const FieldReader& fields, const char* name, const json::value& otherwise = nullptr) {
    const json::value* value = fields.find(name);
    return value == nullptr ? otherwise : *value;
}

json::object read_metadata(FieldReader& fields) {
    const json::object* given = object_of(fields, "metadata");
    if (given == nullptr) return {};
    if (given->size() > kMaxMetadata) {
        fields.refuse("metadata", fmt::format("must hold at most {} pairs (got {})", kMaxMetadata, given->size()));
    }
    for (const auto& [name, value] : *given) {
        if (name.size() > kMaxMetadataNameBytes || !value.is_string() ||
            value.get_string().size() > kMaxMetadataValueBytes) {
            fields.refuse("metadata", fmt::format("must hold names of at most {} bytes, and strings of at most {}",
                                                  kMaxMetadataNameBytes, kMaxMetadataValueBytes));
        }
    }
    return *given;
}

void read_include(FieldReader& fields, CreateRequest& out) {
    const json::value* value = fields.find("include");
    bool scores = false;
    if (value != nullptr) {
        if (!value->is_array()) {
            return fields.refuse("include", fmt::format("must be a list of names (got {})", kind_of(*value)));
        }
        std::size_t i = 0;
        for (const json::value& entry : value->get_array()) {
            const std::string place = fmt::format("include[{}]", i++);
            if (!entry.is_string()) {
                return fields.refuse(place, fmt::format("must be a string (got {})", kind_of(entry)));
            }
            const std::string_view name = entry.get_string();
            if (name == "message.output_text.logprobs") {
                scores = true;
            } else if (name == "reasoning.encrypted_content") {
                out.carries_thoughts = true;
            } else if (std::ranges::find(kIdleIncludes, name) == kIdleIncludes.end()) {
                return fields.refuse(place,
                                     "is not supported; message.output_text.logprobs and reasoning.encrypted_content "
                                     "are");
            }
        }
    }
    int top = 0;
    fields.integer("top_logprobs", 0, kMaxTopLogprobs, top);
    if (scores) {
        out.generation.top_logprobs = top;
    } else if (top > 0) {
        fields.refuse("top_logprobs", "needs include: [\"message.output_text.logprobs\"]");
    }
    out.echo["top_logprobs"] = top;
}

Tool read_tool(FieldReader& entry) {
    Tool tool;
    std::string type;
    entry.string("type", type);
    if (type.empty()) {
        entry.refuse("type", "is missing");
    } else if (type != "function") {
        entry.refuse("type", "must be \"function\": tools that run on the server are not supported");
    }
    read_function(entry, tool);
    refuse_unknown(entry, {"cache_control"});
    return tool;
}

json::array echoed_tools(const FieldReader& fields) {
    json::array out;
    const json::value* tools = fields.find("tools");
    if (tools == nullptr) return out;
    for (const json::value& entry : tools->get_array()) {
        json::object tool = entry.get_object();
        // Arguments follow their schema whether it is asked for or not.
        if (const json::value* strict = tool.if_contains("strict"); strict == nullptr || strict->is_null()) {
            tool["strict"] = true;
        }
        out.push_back(std::move(tool));
    }
    return out;
}

constexpr const char* kChoice =
    R"(must be "auto", "none", "required", {"type": "function", "name": ...} or {"type": "allowed_tools", ...})";

void choose(FieldReader& fields, std::string_view name, std::string_view word, Chat& out) {
    if (word == "auto") {
        out.tool_choice = ToolChoice::kAuto;
    } else if (word == "none") {
        out.tool_choice = ToolChoice::kNone;
    } else if (word == "required") {
        out.tool_choice = ToolChoice::kRequired;
        if (out.tools.empty()) fields.refuse(name, "needs tools");
    } else {
        fields.refuse(name, name == "mode" ? R"(must be "auto" or "required")" : kChoice);
    }
}

bool has_tool(const Chat& chat, std::string_view name) {
    return std::ranges::find(chat.tools, name, &Tool::name) != chat.tools.end();
}

/// The model is told of these tools alone, so that it can call no other.
void read_allowed_tools(FieldReader& choice, Chat& out) {
    const json::value* list = choice.find("tools");
    if (list == nullptr || !list->is_array()) return choice.refuse("tools", "must be a list of tools");
    std::vector<std::string> names;
    for (const json::value& entry : list->get_array()) {
        const std::string place = fmt::format("tools[{}]", names.size());
        if (!entry.is_object()) return choice.refuse(place, fmt::format("must be an object (got {})", kind_of(entry)));
        FieldReader tool(entry.get_object(), choice.error(), choice.path_of(place) + ".");
        std::string type;
        std::string name;
        tool.string("type", type);
        tool.string("name", name);
        if (type != "function") tool.refuse("type", "must be \"function\"");
        if (!has_tool(out, name)) tool.refuse("name", "must be one of the tools'");
        refuse_unknown(tool);
        if (choice.failed()) return;
        names.push_back(std::move(name));
    }
    std::erase_if(out.tools, [&](const Tool& tool) { return std::ranges::find(names, tool.name) == names.end(); });
    std::string mode = "auto";
    choice.string("mode", mode);
    if (mode == "none") return choice.refuse("mode", R"(must be "auto" or "required")");
    choose(choice, "mode", mode, out);
}

void read_choice(FieldReader& fields, Chat& out) {
    const json::value* value = fields.find("tool_choice");
    if (value == nullptr) return;
    if (const auto* word = value->if_string()) return choose(fields, "tool_choice", std::string_view(*word), out);
    if (!value->is_object()) return fields.refuse("tool_choice", kChoice);
    FieldReader choice(value->get_object(), fields.error(), fields.path_of("tool_choice."));
    std::string type;
    choice.string("type", type);
    if (type == "allowed_tools") {
        read_allowed_tools(choice, out);
    } else if (type == "function") {
        choice.string("name", out.named_tool);
        if (!has_tool(out, out.named_tool)) choice.refuse("name", "must be one of the tools'");
        out.tool_choice = ToolChoice::kRequired;
    } else {
        return fields.refuse("tool_choice", kChoice);
    }
    refuse_unknown(choice);
}

void read_tools(FieldReader& fields, CreateRequest& out, Chat& chat) {
    read_tool_list(fields, read_tool, "name", chat);
    out.echo["tools"] = fields.failed() ? json::array() : echoed_tools(fields);
    read_choice(fields, chat);
    out.echo["tool_choice"] = copy_of(fields, "tool_choice", "auto");
    fields.boolean("parallel_tool_calls", chat.parallel_tool_calls);
    out.echo["parallel_tool_calls"] = chat.parallel_tool_calls;
}

/// A summary would be made by another model, which there is none of: there are the thoughts themselves.
void read_thinking(FieldReader& fields, CreateRequest& out, Chat& chat) {
    read_reasoning(fields, chat);
    json::object echo{{"effort", nullptr}, {"summary", nullptr}};
    if (const json::object* given = object_of(fields, "reasoning")) {
        FieldReader inner(*given, fields.error(), fields.path_of("reasoning."));
        read_effort(inner, "effort", chat.reasoning);
        echo["effort"] = copy_of(inner, "effort");
        for (const char* name : {"summary", "generate_summary"}) {
            std::string summary;
            inner.string(name, summary);
            if (summary.empty()) continue;
            if (summary != "auto" && summary != "concise" && summary != "detailed") {
                inner.refuse(name, "must be auto, concise or detailed");
            }
            echo["summary"] = summary;
        }
        refuse_unknown(inner);
    }
    out.echo["reasoning"] = std::move(echo);
}

void read_text(FieldReader& fields, CreateRequest& out) {
    json::object echo{{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
    const json::object* given = object_of(fields, "text");
    if (given == nullptr) {
        out.echo["text"] = std::move(echo);
        return;
    }
    FieldReader inner(*given, fields.error(), fields.path_of("text."));
    std::string verbosity = "medium";
    inner.string("verbosity", verbosity);
    if (verbosity != "medium") inner.refuse("verbosity", "is not supported; \"medium\" is what there is");
    std::string& schema = out.generation.json_schema;
    if (const json::object* format = object_of(inner, "format")) {
        FieldReader named(*format, fields.error(), inner.path_of("format."));
        std::string type;
        named.string("type", type);
        if (type == "json_object") {
            schema = R"({"type":"object"})";
        } else if (type == "json_schema") {
            const json::value* own = named.find("schema");
            if (own == nullptr) return named.refuse("schema", "is missing");
            read_schema(named, "schema", *own, schema);
            refuse_unknown(named, {"description", "name", "strict"});
        } else if (type != "text") {
            return named.refuse("type", "must be text, json_object or json_schema");
        }
        if (type != "json_schema") refuse_unknown(named);
        echo["format"] = *format;
    }
    refuse_unknown(inner);
    if (!out.generation.grammar.empty() && !schema.empty())
        fields.refuse("grammar", "and text.format exclude each other");
    out.echo["text"] = std::move(echo);
}

void read_truncation(FieldReader& fields, CreateRequest& out) {
    std::string truncation = "disabled";
    fields.string("truncation", truncation);
    if (truncation != "auto" && truncation != "disabled") fields.refuse("truncation", "must be auto or disabled");
    out.generation.truncate = truncation == "auto";
    out.echo["truncation"] = truncation;
}

/// What generations of all families have, under the names that they have here.
void read_generation(FieldReader& fields, CreateRequest& out) {
    GenerationRequest& generation = out.generation;
    fields.string("model", out.model);
    read_sampling(fields, generation.sampling);
    read_stop(fields, generation.stop);
    note_given(fields, generation.given);
    read_adapters(fields, generation);
    read_grammar(fields, generation);
    fields.boolean("ignore_eos", generation.ignore_eos);
    fields.integer("priority", -1000, 1000, generation.priority);
    read_keep_alive(fields, out.keep_alive);
    fields.boolean("stream", out.stream);
}

void read_words(FieldReader& fields, CreateRequest& out, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        std::string word;
        fields.string(name, word);
        out.echo[name] = or_null(word);
    }
}

json::value id_or_null(std::span<const json::object* const> page, bool last) {
    if (page.empty()) return nullptr;
    return (last ? page.back() : page.front())->at("id");
}

}  // namespace

Result<CreateRequest> parse_create(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    for (const auto& [name, what] : kOtherNames) {
        if (fields.find_unsupported(name) != nullptr) fields.refuse(name, what);
    }
    CreateRequest request;
    Chat chat;
    read_input(fields, request.items);
    read_generation(fields, request);
    fields.string("instructions", request.instructions);
    request.echo["instructions"] = or_null(request.instructions);
    fields.integer("max_output_tokens", 1, std::numeric_limits<int>::max(), request.generation.max_tokens);
    request.generation.given.max_tokens |= fields.find("max_output_tokens") != nullptr;
    request.echo["max_output_tokens"] = copy_of(fields, "max_output_tokens");
    request.echo["max_tool_calls"] = nullptr;
    request.echo["metadata"] = read_metadata(fields);
    read_tools(fields, request, chat);
    fields.string("previous_response_id", request.previous_response_id);
    request.echo["previous_response_id"] = or_null(request.previous_response_id);
    read_thinking(fields, request, chat);
    read_words(fields, request, {"prompt_cache_key", "safety_identifier", "user"});
    request.echo["service_tier"] = "default";
    request.echo["temperature"] = copy_of(fields, "temperature");
    read_text(fields, request);
    read_include(fields, request);
    request.echo["top_p"] = copy_of(fields, "top_p");
    read_truncation(fields, request);
    bool ignored = false;
    openai::read_stream_options(fields, ignored);
    bool store = true;
    fields.boolean("store", store);
    if (fields.find("store") != nullptr) request.store = store;
    fields.boolean("background", request.background);
    if (request.background && request.store == false) fields.refuse("background", "needs a response that is stored");
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    request.generation.prompt = std::move(chat);
    return request;
}

std::string input_json(std::span<const Item> items) {
    json::array list;
    for (const Item& item : items) list.push_back(item.json);
    return to_json(list);
}

Result<std::string> encode_items(std::span<const Item> items, const ItemPage& page) {
    std::vector<const json::object*> all;
    for (const Item& item : items) all.push_back(&item.json);
    if (!page.ascending) std::ranges::reverse(all);
    std::size_t begin = 0;
    if (!page.after.empty()) {
        const auto found = std::ranges::find_if(all, [&](const json::object* item) {
            return item->at("id").is_string() && item->at("id").get_string() == page.after;
        });
        if (found == all.end()) return fail(ErrorCode::kNotFound, "There is no item with this id.", "after");
        begin = static_cast<std::size_t>(found - all.begin()) + 1;
    }
    const std::size_t end = std::min(all.size(), begin + page.limit);
    const std::span<const json::object* const> shown(all.begin() + static_cast<std::ptrdiff_t>(begin), end - begin);
    json::array data;
    for (const json::object* item : shown) data.push_back(*item);
    json::object out{{"object", "list"}};
    out["data"] = std::move(data);
    out["first_id"] = id_or_null(shown, false);
    out["last_id"] = id_or_null(shown, true);
    out["has_more"] = end < all.size();
    return to_json(out);
}

std::string encode_deleted(std::string_view id) {
    return to_json(json::object{{"id", id}, {"object", "response"}, {"deleted", true}});
}

std::string encode_count(std::size_t tokens) {
    return to_json(json::object{{"object", "response.input_tokens"}, {"input_tokens", tokens}});
}

}  // namespace sutazai::api::responses
