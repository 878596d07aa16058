#include "api/anthropic_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>
#include <iterator>
#include <map>
#include <span>
#include <utility>

#include "api/chat_fields.h"
#include "api/image_fields.h"
#include "api/response_format.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"
#include "base/digest.h"
#include "base/json_text.h"
#include "base/utf8_stream.h"

namespace sutazai::api::anthropic {

namespace json = boost::json;

namespace {

constexpr std::string_view kSigned = "sutazai";
constexpr std::string_view kHidden = "sutazai:";

std::string quoted(const std::string& word) {
    return word.size() <= 40 ? fmt::format("\"{}\"", word) : "a long string";
}

void read_present(FieldReader& fields, std::string_view name, std::string& out) {
    if (fields.find(name) == nullptr) fields.refuse(name, "is missing");
    fields.string(name, out);
}

/// Calls `read` with a reader of each object of the list.
template <typename Read>
void read_objects(FieldReader& fields, std::string_view name, const json::array& list, Read read) {
    std::size_t index = 0;
    for (const json::value& entry : list) {
        const std::string place = fmt::format("{}[{}]", name, index++);
        if (!entry.is_object()) return fields.refuse(place, fmt::format("must be an object (got {})", kind_of(entry)));
        FieldReader inner(entry.get_object(), fields.error(), fields.path_of(place) + ".");
        read(inner);
        if (fields.failed()) return;
    }
}

std::string type_of(FieldReader& block) {
    std::string type;
    read_present(block, "type", type);
    return type;
}

void refuse_type(FieldReader& block, const std::string& type, std::string_view known) {
    const bool later = type == "document";
    block.refuse("type", fmt::format("{} is not supported{}; {} is", quoted(type), later ? " yet" : "", known));
}

std::string read_text(FieldReader& block, CacheMarks& marks) {
    std::string text;
    read_present(block, "text", text);
    read_cache_control(block, marks);
    refuse_unknown(block, {"citations"});
    return text;
}

void read_image(FieldReader& block, CacheMarks& marks, ChatMessage& out) {
    const json::value* value = block.find("source");
    if (value == nullptr) return block.refuse("source", "is missing");
    if (!value->is_object()) return block.refuse("source", fmt::format("must be an object (got {})", kind_of(*value)));
    FieldReader source(value->get_object(), block.error(), block.path_of("source."));
    const std::string type = type_of(source);
    if (type == "base64") {
        std::string media_type;
        read_present(source, "media_type", media_type);
        const json::value* data = source.find("data");
        if (data == nullptr) return source.refuse("data", "is missing");
        if (!data->is_string()) return source.refuse("data", fmt::format("must be a string (got {})", kind_of(*data)));
        read_base64_image(source, "data", data->get_string(), out);
    } else if (type == "url") {
        std::string url;
        read_present(source, "url", url);
        read_image_url(source, "url", url, out);
    } else {
        source.refuse("type", "must be \"base64\" or \"url\"");
    }
    refuse_unknown(source);
    read_cache_control(block, marks);
    refuse_unknown(block);
}

/// A string or blocks of text; with `images` also of images.
std::vector<ContentPart> read_texts(FieldReader& fields, std::string_view name, CacheMarks& marks,
                                    bool images = false) {
    std::vector<ContentPart> parts;
    const json::value* value = fields.find(name);
    if (value == nullptr) return parts;
    if (const auto* text = value->if_string()) {
        parts.push_back({std::string(std::string_view(*text))});
    } else if (value->is_array()) {
        read_objects(fields, name, value->get_array(), [&](FieldReader& block) {
            const std::string type = type_of(block);
            if (type == "image" && images) {
                ChatMessage image;
                read_image(block, marks, image);
                std::ranges::move(image.content, std::back_inserter(parts));
                return;
            }
            if (type != "text") return refuse_type(block, type, images ? "text or image" : "\"text\"");
            parts.push_back({read_text(block, marks)});
        });
    } else {
        fields.refuse(name, fmt::format("must be a string or an array of text blocks (got {})", kind_of(*value)));
    }
    return parts;
}

/// Claude Code's first line says for what Anthropic is to bill, in other words each time. It tells the model nothing,
/// and no prompt would share a prefix with the one before.
std::string without_billing(std::string text) {
    if (!text.starts_with("x-anthropic-billing-header:")) return text;
    const std::size_t end = text.find('\n');
    return end == std::string::npos ? std::string() : text.substr(end + 1);
}

/// Puts messages of the wire behind each other.
class Conversation {
  public:
    Conversation(Chat& chat, CacheMarks& marks) : chat_(chat), marks_(marks) {}

    /// The system's text in the field `name`. Most templates have one place for it, in front: what comes later is told
    /// to the user's side, in a tag.
    void add_system(FieldReader& fields, std::string_view name) {
        std::vector<ContentPart> parts = read_texts(fields, name, marks_);
        if (parts.empty()) return;
        parts.front().text = without_billing(std::move(parts.front().text));
        if (parts.front().text.empty()) parts.erase(parts.begin());
        if (parts.empty()) return;
        if (!chat_.messages.empty() && chat_.messages.back().role != Role::kSystem) {
            std::string text = "<system-reminder>";
            for (const ContentPart& part : parts) text += "\n" + part.text;
            return add_text(Role::kUser, text + "\n</system-reminder>");
        }
        ChatMessage& message = of(Role::kSystem);
        for (ContentPart& part : parts) {
            add_paragraph(message);
            message.content.push_back(std::move(part));
        }
    }

    void add(FieldReader& message) {
        std::string role;
        read_present(message, "role", role);
        begins_ = true;
        if (role == "user") {
            add_content(message, Role::kUser);
        } else if (role == "assistant") {
            add_content(message, Role::kAssistant);
        } else if (role == "system") {
            if (message.find("content") == nullptr) message.refuse("content", "is missing");
            add_system(message, "content");
        } else {
            message.refuse("role", "must be user, assistant or system");
        }
        // What an answer holds, and clients send back as it came.
        refuse_unknown(message,
                       {"container", "id", "model", "stop_details", "stop_reason", "stop_sequence", "type", "usage"});
    }

  private:
    /// The last message, if it is of that role, else a new one.
    ChatMessage& of(Role role) {
        std::vector<ChatMessage>& all = chat_.messages;
        if (all.empty() || all.back().role != role) {
            all.push_back({.role = role});
            begins_ = false;
        }
        return all.back();
    }

    static void add_paragraph(ChatMessage& message) {
        if (message.content.empty()) return;
        if (message.content.back().image != nullptr) message.content.emplace_back();
        message.content.back().text += "\n\n";
    }

    void add_text(Role role, std::string text) {
        ChatMessage& message = of(role);
        // What two messages say are two paragraphs; what the assistant says is continued to the letter.
        if (std::exchange(begins_, false) && role != Role::kAssistant) add_paragraph(message);
        message.content.push_back({std::move(text)});
    }

    void add_content(FieldReader& message, Role role) {
        const json::value* value = message.find("content");
        if (value == nullptr) return message.refuse("content", "is missing");
        if (const auto* text = value->if_string()) {
            add_text(role, std::string(std::string_view(*text)));
        } else if (value->is_array()) {
            if (value->get_array().empty()) of(role);
            read_objects(message, "content", value->get_array(),
                         [this, role](FieldReader& block) { add_block(block, role); });
        } else {
            message.refuse("content", fmt::format("must be a string or an array of blocks (got {})", kind_of(*value)));
        }
    }

    void add_block(FieldReader& block, Role role) {
        const std::string type = type_of(block);
        if (type == "text") return add_text(role, read_text(block, marks_));
        if (type == "image" && role == Role::kUser) {
            ChatMessage& message = of(role);
            if (std::exchange(begins_, false)) add_paragraph(message);
            return read_image(block, marks_, message);
        }
        if (type == "tool_result" && role == Role::kUser) return add_result(block);
        if (type == "tool_use" && role == Role::kAssistant) return add_call(block);
        if (type == "thinking" && role == Role::kAssistant) return add_thoughts(block);
        if (type == "redacted_thinking" && role == Role::kAssistant) {
            // Only who made it can read it.
            std::string data;
            read_present(block, "data", data);
            return refuse_unknown(block);
        }
        const bool misplaced =
            type == "tool_result" || type == "tool_use" || type == "thinking" || type == "redacted_thinking";
        if (misplaced) return block.refuse("type", fmt::format("{} goes with another role", quoted(type)));
        refuse_type(
            block, type,
            role == Role::kUser ? "text, image or tool_result" : "text, thinking, redacted_thinking or tool_use");
    }

    void add_thoughts(FieldReader& block) {
        std::string thoughts;
        std::string signature;
        read_present(block, "thinking", thoughts);
        block.string("signature", signature);
        refuse_unknown(block);
        of(Role::kAssistant).reasoning += thoughts.empty() ? thoughts_in(signature) : thoughts;
    }

    void add_call(FieldReader& block) {
        ToolCall call;
        read_present(block, "id", call.id);
        read_tool_name(block, call.name);
        const json::value* input = block.find("input");
        if (input == nullptr) return block.refuse("input", "is missing");
        if (!input->is_object()) {
            return block.refuse("input", fmt::format("must be an object (got {})", kind_of(*input)));
        }
        call.arguments = to_json(*input);
        read_cache_control(block, marks_);
        refuse_unknown(block, {"caller", "toolset_name"});
        ChatMessage& message = of(Role::kAssistant);
        if (message.tool_calls.size() == kMaxTools) {
            return block.refuse("type", fmt::format("is that of more than {} calls in one message", kMaxTools));
        }
        names_[call.id] = call.name;
        message.tool_calls.push_back(std::move(call));
    }

    void add_result(FieldReader& block) {
        ChatMessage result{.role = Role::kTool};
        read_present(block, "tool_use_id", result.tool_call_id);
        result.content = read_texts(block, "content", marks_, true);
        bool failed = false;
        block.boolean("is_error", failed);
        read_cache_control(block, marks_);
        refuse_unknown(block, {"toolset_name"});
        if (const auto known = names_.find(result.tool_call_id); known != names_.end()) result.name = known->second;
        if (failed) {
            // Templates have no other word for it.
            if (result.content.empty() || result.content.front().image != nullptr) {
                result.content.emplace(result.content.begin());
            }
            result.content.front().text.insert(0, "Error: ");
        }
        chat_.messages.push_back(std::move(result));
        begins_ = false;
    }

    Chat& chat_;
    CacheMarks& marks_;
    std::map<std::string, std::string> names_;  // of tools, by the calls' ids
    bool begins_ = false;                       // nothing of the wire's message has been put behind the last one
};

void read_examples(FieldReader& entry, Tool& tool) {
    const json::value* value = entry.find("input_examples");
    if (value == nullptr) return;
    if (!value->is_array()) return entry.refuse("input_examples", "must be an array of objects");
    std::string examples;
    for (const json::value& example : value->get_array()) {
        if (!example.is_object()) return entry.refuse("input_examples", "must be an array of objects");
        examples += "\n" + to_json(example);
    }
    if (!examples.empty()) tool.description += "\n\nExamples of its input:" + examples;
}

Tool read_tool(FieldReader& entry, CacheMarks& marks) {
    Tool tool;
    std::string type = "custom";
    entry.string("type", type);
    if (type != "custom") {
        entry.refuse("type", fmt::format("{} is a tool of Anthropic's own, which this server has not; only \"custom\" "
                                         "is supported",
                                         quoted(type)));
    }
    read_tool_name(entry, tool.name);
    entry.string("description", tool.description);
    entry.boolean("strict", tool.strict);
    if (const json::value* schema = entry.find("input_schema")) {
        read_schema_text(entry, "input_schema", *schema, tool.parameters);
    } else {
        entry.refuse("input_schema", "is missing");
    }
    read_examples(entry, tool);
    bool deferred = false;
    entry.boolean("defer_loading", deferred);
    if (deferred) entry.refuse("defer_loading", "is not supported: nothing searches for tools here");
    if (const json::value* callers = entry.find("allowed_callers")) {
        const auto* list = callers->if_array();
        const bool direct = list != nullptr && std::ranges::find(*list, json::value("direct")) != list->end();
        if (!direct) entry.refuse("allowed_callers", "must hold \"direct\": the model calls tools itself");
    }
    read_cache_control(entry, marks);
    refuse_unknown(entry, {"eager_input_streaming"});
    return tool;
}

void read_choice(FieldReader& fields, Chat& out) {
    const json::value* value = fields.find("tool_choice");
    if (value == nullptr) return;
    if (!value->is_object()) {
        return fields.refuse("tool_choice", fmt::format("must be an object (got {})", kind_of(*value)));
    }
    FieldReader choice(value->get_object(), fields.error(), fields.path_of("tool_choice."));
    const std::string type = type_of(choice);
    if (type == "any" || type == "tool") {
        out.tool_choice = ToolChoice::kRequired;
        if (out.tools.empty()) fields.refuse("tool_choice", "needs tools");
    } else if (type == "none") {
        out.tool_choice = ToolChoice::kNone;
    } else if (type != "auto") {
        choice.refuse("type", "must be auto, any, tool or none");
    }
    if (type == "tool") {
        read_present(choice, "name", out.named_tool);
        const bool is_there = std::ranges::find(out.tools, out.named_tool, &Tool::name) != out.tools.end();
        if (!is_there) choice.refuse("name", "must be one of the tools'");
    }
    bool one_at_a_time = false;
    choice.boolean("disable_parallel_tool_use", one_at_a_time);
    if (one_at_a_time) out.parallel_tool_calls = false;
    refuse_unknown(choice);
}

}  // namespace

void read_cache_control(FieldReader& fields, CacheMarks& marks) {
    const json::value* value = fields.find("cache_control");
    if (value == nullptr) return;
    if (!value->is_object()) {
        return fields.refuse("cache_control", fmt::format("must be an object (got {})", kind_of(*value)));
    }
    FieldReader mark(value->get_object(), fields.error(), fields.path_of("cache_control."));
    std::string ttl = "5m";
    if (type_of(mark) != "ephemeral") mark.refuse("type", "must be \"ephemeral\"");
    mark.string("ttl", ttl);
    if (ttl != "5m" && ttl != "1h") mark.refuse("ttl", "must be \"5m\" or \"1h\"");
    refuse_unknown(mark, {"scope"});
    if (++marks.n > kMostCacheMarks) {
        fields.refuse("cache_control", fmt::format("may stand in at most {} places", kMostCacheMarks));
    }
}

void read_conversation(FieldReader& fields, Chat& out, CacheMarks& marks) {
    Conversation conversation(out, marks);
    conversation.add_system(fields, "system");
    const json::value* value = fields.find("messages");
    if (value == nullptr) return fields.refuse("messages", "is missing");
    if (!value->is_array()) {
        return fields.refuse("messages", fmt::format("must be an array (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.empty() || list.size() > kMaxMessages) {
        return fields.refuse("messages", fmt::format("must hold 1 to {} messages (got {})", kMaxMessages, list.size()));
    }
    read_objects(fields, "messages", list, [&](FieldReader& message) { conversation.add(message); });
    if (fields.failed()) return;
    if (out.messages.empty()) return fields.refuse("messages", "hold nothing that can be read here");
    check_images(fields, "messages", out);
    if (out.messages.back().role == Role::kAssistant) out.turn = Turn::kContinue;
}

void read_anthropic_tools(FieldReader& fields, Chat& out, CacheMarks& marks) {
    read_tool_list(
        fields, [&](FieldReader& entry) { return read_tool(entry, marks); }, "name", out);
    read_choice(fields, out);
}

std::string signature_of(std::string_view thoughts, bool hidden) {
    if (!hidden) return std::string(kSigned);
    return std::string(kHidden) + to_hex(std::as_bytes(std::span(thoughts)));
}

std::string thoughts_in(std::string_view signature) {
    if (!signature.starts_with(kHidden)) return {};
    signature.remove_prefix(kHidden.size());
    std::string bytes;
    const std::string hex(signature);
    for (const char* at = hex.c_str(); hex.c_str() + hex.size() - at >= 2; at += 2) {
        unsigned char byte = 0;
        if (std::from_chars(at, at + 2, byte, 16).ptr != at + 2) return {};
        bytes += static_cast<char>(byte);
    }
    std::string thoughts;
    Utf8Stream characters;
    characters.append(bytes, thoughts);
    characters.finish(thoughts);
    return thoughts;
}

}  // namespace sutazai::api::anthropic
