#include "api/anthropic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "api/anthropic_messages.h"
#include "api/response_format.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"

namespace sutazai::api::anthropic {

namespace json = boost::json;

namespace {

/// A reader of the object `name`, if it is there.
std::optional<FieldReader> object_in(FieldReader& fields, std::string_view name) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_object()) return FieldReader(value->get_object(), fields.error(), fields.path_of(name) + ".");
    fields.refuse(name, fmt::format("must be an object (got {})", kind_of(*value)));
    return std::nullopt;
}

void read_thinking(FieldReader& fields, MessagesRequest& out, Reasoning& reasoning) {
    std::optional<FieldReader> thinking = object_in(fields, "thinking");
    if (!thinking) return;
    std::string type;
    std::string display;
    thinking->string("type", type);
    if (type == "enabled") {
        if (thinking->find("budget_tokens") == nullptr) thinking->refuse("budget_tokens", "is missing");
        thinking->integer("budget_tokens", 1, std::numeric_limits<int>::max(), reasoning.budget_tokens);
    } else if (type != "adaptive" && type != "disabled") {
        thinking->refuse("type", "must be enabled, adaptive or disabled");
    }
    // "adaptive" leaves it to the model, which is what it does unasked.
    if (type != "adaptive") reasoning.wanted = type == "enabled";
    thinking->string("display", display);
    if (!display.empty() && display != "summarized" && display != "omitted") {
        thinking->refuse("display", "must be summarized, where all of the thoughts are told, or omitted");
    }
    out.hides_thoughts = display == "omitted";
    refuse_unknown(*thinking);
}

void read_format(FieldReader& fields, std::string_view name, GenerationRequest& out) {
    std::optional<FieldReader> format = object_in(fields, name);
    if (!format) return;
    std::string type;
    format->string("type", type);
    if (type != "json_schema") return format->refuse("type", "must be \"json_schema\"");
    const json::value* schema = format->find("schema");
    if (schema == nullptr) return format->refuse("schema", "is missing");
    if (!out.grammar.empty() || !out.json_schema.empty()) {
        return fields.refuse(name, "and another format or grammar exclude each other");
    }
    read_schema(*format, "schema", *schema, out.json_schema);
    refuse_unknown(*format);
}

void read_output(FieldReader& fields, Reasoning& reasoning, GenerationRequest& out) {
    if (std::optional<FieldReader> config = object_in(fields, "output_config")) {
        constexpr std::array<std::string_view, 5> kEfforts = {"low", "medium", "high", "xhigh", "max"};
        std::string effort;
        config->string("effort", effort);
        if (!effort.empty()) {
            if (std::ranges::find(kEfforts, effort) == kEfforts.end()) {
                config->refuse("effort", "must be low, medium, high, xhigh or max");
            }
            reasoning.effort = std::move(effort);
        }
        read_format(*config, "format", out);
        refuse_unknown(*config);
    }
    // As it was called before.
    read_format(fields, "output_format", out);
}

/// The thoughts of all but the last `n` messages that have some are forgotten.
void forget_thoughts(std::vector<ChatMessage>& messages, std::int64_t n) {
    for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
        if (!message->reasoning.empty() && --n < 0) message->reasoning.clear();
    }
}

void read_edit(FieldReader& edit, Chat& chat) {
    std::string type;
    edit.string("type", type);
    if (type != "clear_thinking_20251015") {
        return edit.refuse("type", "must be \"clear_thinking_20251015\"; others are not supported");
    }
    std::int64_t n = 1;
    if (const json::value* keep = edit.find("keep"); keep != nullptr && !keep->is_object()) {
        if (*keep != json::value("all")) return edit.refuse("keep", "must be \"all\" or an object");
        n = std::numeric_limits<std::int64_t>::max();
    } else if (std::optional<FieldReader> fields = object_in(edit, "keep")) {
        std::string kind;
        fields->string("type", kind);
        if (kind == "all") {
            n = std::numeric_limits<std::int64_t>::max();
        } else if (kind == "thinking_turns") {
            if (fields->find("value") == nullptr) fields->refuse("value", "is missing");
            fields->integer("value", 1, std::numeric_limits<int>::max(), n);
        } else {
            fields->refuse("type", "must be all or thinking_turns");
        }
        refuse_unknown(*fields);
    }
    refuse_unknown(edit);
    if (!edit.failed()) forget_thoughts(chat.messages, n);
}

void read_edits(FieldReader& fields, Chat& chat) {
    std::optional<FieldReader> management = object_in(fields, "context_management");
    if (!management) return;
    const json::value* edits = management->find("edits");
    if (edits != nullptr && !edits->is_array()) return management->refuse("edits", "must be an array");
    std::size_t index = 0;
    for (const json::value& entry : edits != nullptr ? edits->get_array() : json::array()) {
        const std::string place = fmt::format("edits[{}]", index++);
        if (!entry.is_object()) return management->refuse(place, "must be an object");
        FieldReader edit(entry.get_object(), fields.error(), management->path_of(place) + ".");
        read_edit(edit, chat);
        if (fields.failed()) return;
    }
    refuse_unknown(*management);
}

void read_most_tokens(FieldReader& fields, MessagesRequest& out) {
    if (fields.find("max_tokens") == nullptr) fields.refuse("max_tokens", "is missing");
    if (out.generation.max_tokens != 0) return;
    // A generation ends with a token.
    out.generation.max_tokens = 1;
    out.writes_nothing = true;
}

Result<MessagesRequest> parse(std::string_view body, bool counts) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    MessagesRequest request;
    GenerationRequest& generation = request.generation;
    CacheMarks marks;
    Chat chat;
    read_conversation(fields, chat, marks);
    read_anthropic_tools(fields, chat, marks);
    read_cache_control(fields, marks);
    request.marks_cache = marks.n > 0;
    read_reasoning(fields, chat);
    read_thinking(fields, request, chat.reasoning);
    read_edits(fields, chat);
    read_generation_fields(fields, request, 0);
    read_stop(fields, generation.stop, "stop_sequences");
    generation.given.stop |= fields.find("stop_sequences") != nullptr;
    read_output(fields, chat.reasoning, generation);
    if (counts) {
        generation.task = Task::kRead;
    } else {
        read_most_tokens(fields, request);
    }
    if (!is_absent(fields.find_unsupported("mcp_servers"))) {
        fields.refuse("mcp_servers", "is not supported: this server calls no tools itself");
    }
    if (!is_absent(fields.find_unsupported("thread"))) {
        fields.refuse("thread", "is not supported: no conversation is held here; send all of it");
    }
    refuse_unknown(fields, {"diagnostics", "speed", "user_profile_id"});
    if (error) return std::unexpected(std::move(*error));
    generation.prompt = std::move(chat);
    return request;
}

}  // namespace

Result<MessagesRequest> parse_messages(std::string_view body) {
    return parse(body, false);
}

Result<MessagesRequest> parse_count(std::string_view body) {
    return parse(body, true);
}

}  // namespace sutazai::api::anthropic
