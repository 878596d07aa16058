#include "api/response_items.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "api/image_fields.h"
#include "api/unsupported.h"

namespace sutazai::api::responses {

namespace json = boost::json;

namespace {

using Kind = Item::Kind;

void read_id(FieldReader& item, std::string_view name, std::string& out) {
    item.string(name, out);
    if (out.size() > kMaxIdBytes) item.refuse(name, fmt::format("must have at most {} bytes", kMaxIdBytes));
}

void read_image(FieldReader& part, ChatMessage& out, json::object& stored) {
    std::string detail = "auto";
    part.string("detail", detail);
    if (detail != "auto" && detail != "low" && detail != "high" && detail != "original") {
        part.refuse("detail", "must be auto, low, high or original");
    }
    if (part.find_unsupported("file_id") != nullptr) part.refuse("file_id", "is not supported; image_url is");
    const json::value* url = part.find("image_url");
    if (url == nullptr) return part.refuse("image_url", "is missing");
    if (!url->is_string()) return part.refuse("image_url", fmt::format("must be a URL (got {})", kind_of(*url)));
    read_image_url(part, "image_url", url->get_string(), out);
    stored = {{"type", "input_image"}, {"detail", detail}, {"image_url", *url}};
}

/// Parts of the types `allowed`, as they are stored; `what` says which there are.
void read_parts(FieldReader& item, std::string_view list_name, const json::array& list,
                std::initializer_list<std::string_view> allowed, std::string_view stored_type,
                std::vector<ContentPart>& out, json::array& stored) {
    for (const json::value& entry : list) {
        const std::string name = fmt::format("{}[{}]", list_name, stored.size());
        if (!entry.is_object()) {
            return item.refuse(name, fmt::format("must be an object with a type (got {})", kind_of(entry)));
        }
        FieldReader part(entry.get_object(), item.error(), item.path_of(name) + ".");
        std::string type;
        part.string("type", type);
        if (std::find(allowed.begin(), allowed.end(), type) == allowed.end()) {
            return part.refuse(
                "type", type.empty() ? "is missing" : fmt::format("is not supported here; {} is", *allowed.begin()));
        }
        if (type == "input_image") {
            json::object as_stored;
            ChatMessage image;
            read_image(part, image, as_stored);
            refuse_unknown(part, {"cache_control", "prompt_cache_breakpoint"});
            if (item.failed()) return;
            stored.push_back(std::move(as_stored));
            out.push_back(std::move(image.content.front()));
            continue;
        }
        const char* text_name = type == "refusal" ? "refusal" : "text";
        if (part.find(text_name) == nullptr) return part.refuse(text_name, "is missing");
        std::string text;
        part.string(text_name, text);
        refuse_unknown(part, {"annotations", "cache_control", "logprobs", "prompt_cache_breakpoint"});
        if (item.failed()) return;
        json::object as_stored{{"type", type == "refusal" ? std::string_view(type) : stored_type}};
        if (stored_type == "output_text" && type != "refusal") as_stored["annotations"] = json::array();
        as_stored[text_name] = text;
        stored.push_back(std::move(as_stored));
        out.push_back({std::move(text)});
    }
}

void read_message(FieldReader& item, Item& out) {
    std::string role;
    item.string("role", role);
    if (role.empty()) return item.refuse("role", "is missing");
    std::optional<Role> known;
    for (const Role one : {Role::kUser, Role::kAssistant, Role::kSystem, Role::kDeveloper}) {
        if (role == to_string(one)) known = one;
    }
    if (!known) return item.refuse("role", "must be user, assistant, system or developer");
    out.message.role = *known;
    const bool is_answer = *known == Role::kAssistant;
    const std::string_view type = is_answer ? "output_text" : "input_text";
    const json::value* content = item.find("content");
    if (content == nullptr) return item.refuse("content", "is missing");
    json::array parts;
    if (const auto* text = content->if_string()) {
        out.message.content.push_back({std::string(std::string_view(*text))});
        json::object part{{"type", type}};
        if (is_answer) part["annotations"] = json::array();
        part["text"] = *text;
        parts.push_back(std::move(part));
    } else if (const auto* list = content->if_array()) {
        if (is_answer) {
            read_parts(item, "content", *list, {"output_text", "refusal", "input_text", "text"}, type,
                       out.message.content, parts);
        } else {
            read_parts(item, "content", *list, {"input_text", "input_image", "output_text", "text"}, type,
                       out.message.content, parts);
        }
    } else {
        return item.refuse("content", fmt::format("must be a string or a list of parts (got {})", kind_of(*content)));
    }
    out.json = {{"id", nullptr}, {"type", "message"}, {"status", "completed"}, {"role", role}};
    out.json["content"] = std::move(parts);
    refuse_unknown(item, {"phase", "status"});
}

void read_call(FieldReader& item, Item& out) {
    ToolCall call;
    read_id(item, "call_id", call.id);
    item.string("name", call.name);
    item.string("arguments", call.arguments);
    if (call.id.empty()) item.refuse("call_id", "is missing");
    if (call.name.empty()) item.refuse("name", "is missing");
    if (call.arguments.empty()) call.arguments = "{}";
    out.json = {{"id", nullptr},      {"type", "function_call"}, {"status", "completed"}, {"arguments", call.arguments},
                {"call_id", call.id}, {"name", call.name}};
    out.message.role = Role::kAssistant;
    out.message.tool_calls.push_back(std::move(call));
    refuse_unknown(item, {"status"});
}

void read_result(FieldReader& item, Item& out) {
    out.message.role = Role::kTool;
    read_id(item, "call_id", out.message.tool_call_id);
    if (out.message.tool_call_id.empty()) item.refuse("call_id", "is missing");
    const json::value* output = item.find("output");
    if (output == nullptr) return item.refuse("output", "is missing");
    json::value stored;
    if (const auto* text = output->if_string()) {
        out.message.content.push_back({std::string(std::string_view(*text))});
        stored = *text;
    } else if (const auto* list = output->if_array()) {
        json::array parts;
        read_parts(item, "output", *list, {"input_text", "input_image", "text"}, "input_text", out.message.content,
                   parts);
        stored = std::move(parts);
    } else {
        return item.refuse("output", fmt::format("must be a string or a list of parts (got {})", kind_of(*output)));
    }
    out.json = {{"id", nullptr},
                {"type", "function_call_output"},
                {"status", "completed"},
                {"call_id", out.message.tool_call_id}};
    out.json["output"] = std::move(stored);
    refuse_unknown(item, {"status"});
}

/// The texts of a list of parts, joined.
std::string texts_of(FieldReader& item, const char* name, const char* type, json::array& stored) {
    const json::value* value = item.find(name);
    if (value == nullptr) return {};
    if (!value->is_array()) {
        item.refuse(name, fmt::format("must be a list of parts (got {})", kind_of(*value)));
        return {};
    }
    std::vector<ContentPart> parts;
    read_parts(item, name, value->get_array(), {type}, type, parts, stored);
    std::string text;
    for (const ContentPart& part : parts) {
        if (!text.empty()) text += "\n\n";
        text += part.text;
    }
    return text;
}

void read_reasoning_item(FieldReader& item, Item& out) {
    out.kind = Kind::kReasoning;
    out.message.role = Role::kAssistant;
    json::array content;
    json::array summary;
    std::string thoughts = texts_of(item, "content", "reasoning_text", content);
    std::string short_of_it = texts_of(item, "summary", "summary_text", summary);
    std::string carried;
    item.string("encrypted_content", carried);
    if (!carried.empty() && !carried.starts_with(kCarriedThoughts)) {
        return item.refuse("encrypted_content", "was not made by this server");
    }
    if (thoughts.empty() && !carried.empty()) {
        thoughts = carried.substr(kCarriedThoughts.size());
        content.push_back({{"type", "reasoning_text"}, {"text", thoughts}});
    }
    out.message.reasoning = thoughts.empty() ? std::move(short_of_it) : std::move(thoughts);
    out.json = {{"id", nullptr}, {"type", "reasoning"}};
    out.json["summary"] = std::move(summary);
    out.json["content"] = std::move(content);
    refuse_unknown(item, {"status"});
}

Item read_item(FieldReader& item) {
    Item out;
    std::string type;
    item.string("type", type);
    read_id(item, "id", out.id);
    if (type.empty()) type = item.find("role") == nullptr && !out.id.empty() ? "item_reference" : "message";
    if (type == "message") {
        read_message(item, out);
    } else if (type == "function_call") {
        out.kind = Kind::kCall;
        read_call(item, out);
    } else if (type == "function_call_output") {
        out.kind = Kind::kResult;
        read_result(item, out);
    } else if (type == "reasoning") {
        read_reasoning_item(item, out);
    } else if (type == "item_reference") {
        out.kind = Kind::kReference;
        if (out.id.empty()) item.refuse("id", "is missing");
        refuse_unknown(item);
    } else {
        item.refuse("type",
                    "must be message, function_call, function_call_output, reasoning or item_reference; other items "
                    "are not supported");
    }
    if (!out.id.empty() && out.kind != Kind::kReference) out.json["id"] = out.id;
    return out;
}

std::string_view prefix_of(const Item& item) {
    switch (item.kind) {
        case Kind::kReasoning: return "rs";
        case Kind::kCall: return "fc";
        case Kind::kResult: return "fco";
        case Kind::kMessage:
        case Kind::kReference: break;
    }
    return "msg";
}

constexpr std::string_view kResponse = "resp_";
constexpr std::size_t kPlaceDigits = 4;

/// Puts items behind one another.
class Joiner {
  public:
    Result<void> add(const Item& item, const std::string& name) {
        switch (item.kind) {
            case Kind::kMessage: add_message(item.message); break;
            case Kind::kReasoning:
                if (!turn_ || says_something()) begin();
                if (!messages_.back().reasoning.empty()) messages_.back().reasoning += "\n\n";
                messages_.back().reasoning += item.message.reasoning;
                break;
            case Kind::kCall:
                if (!turn_) begin();
                messages_.back().tool_calls.push_back(item.message.tool_calls.front());
                calls_.insert(item.message.tool_calls.front().id);
                break;
            case Kind::kResult:
                if (!calls_.contains(item.message.tool_call_id)) {
                    return fail(ErrorCode::kInvalidArgument,
                                fmt::format("{}.call_id is that of no function_call before it", name),
                                name + ".call_id");
                }
                turn_ = false;
                messages_.push_back(item.message);
                break;
            case Kind::kReference: return fail(ErrorCode::kInternal, "a reference was not resolved");
        }
        return {};
    }
    std::vector<ChatMessage> messages() && { return std::move(messages_); }
    void system(std::string_view text) { messages_.push_back(text_message(Role::kSystem, std::string(text))); }

  private:
    [[nodiscard]] bool says_something() const {
        return !messages_.back().content.empty() || !messages_.back().tool_calls.empty();
    }
    void begin() {
        messages_.push_back({.role = Role::kAssistant});
        turn_ = true;
    }
    void add_message(const ChatMessage& message) {
        if (message.role != Role::kAssistant) {
            turn_ = false;
            messages_.push_back(message);
            return;
        }
        if (!turn_ || says_something()) begin();
        messages_.back().content = message.content;
    }

    std::vector<ChatMessage> messages_;
    std::unordered_set<std::string> calls_;
    bool turn_ = false;  // the last message is the assistant's, and may get more
};

}  // namespace

void read_input(FieldReader& fields, std::vector<Item>& out) {
    const json::value* input = fields.find("input");
    if (input == nullptr) return;
    if (const auto* text = input->if_string()) {
        const json::object message{{"role", "user"}, {"content", *text}};
        FieldReader item(message, fields.error(), fields.path_of("input[0]."));
        out.push_back(read_item(item));
        return;
    }
    if (!input->is_array()) {
        return fields.refuse("input", fmt::format("must be a string or a list of items (got {})", kind_of(*input)));
    }
    const json::array& list = input->get_array();
    if (list.size() > kMaxItems) {
        return fields.refuse("input", fmt::format("must hold at most {} items (got {})", kMaxItems, list.size()));
    }
    out.reserve(list.size());
    for (const json::value& entry : list) {
        const std::string name = fmt::format("input[{}]", out.size());
        if (!entry.is_object()) {
            return fields.refuse(name, fmt::format("must be an object (got {})", kind_of(entry)));
        }
        FieldReader item(entry.get_object(), fields.error(), fields.path_of(name) + ".");
        out.push_back(read_item(item));
        if (fields.failed()) return;
    }
}

Result<std::vector<Item>> parse_stored(const json::array& items) {
    std::vector<Item> out;
    std::optional<Error> error;
    for (const json::value& entry : items) {
        if (!entry.is_object()) return fail(ErrorCode::kInternal, "a stored response holds what is no item");
        FieldReader item(entry.get_object(), error);
        out.push_back(read_item(item));
        if (error) return fail(ErrorCode::kInternal, "a stored response holds an item that cannot be read");
        out.back().json = entry.get_object();
    }
    return out;
}

void name_items(std::string_view response_id, std::span<Item> items) {
    for (std::size_t place = 0; place < items.size(); ++place) {
        Item& item = items[place];
        if (item.id.empty()) item.id = item_id(prefix_of(item), response_id, place);
        item.json["id"] = item.id;
    }
}

std::string item_id(std::string_view prefix, std::string_view response_id, std::size_t place) {
    if (response_id.starts_with(kResponse)) response_id.remove_prefix(kResponse.size());
    return fmt::format("{}_{}{:04x}", prefix, response_id, place);
}

std::string response_of(std::string_view item_id) {
    const std::size_t end_of_prefix = item_id.find('_');
    if (end_of_prefix == std::string_view::npos) return {};
    item_id.remove_prefix(end_of_prefix + 1);
    if (item_id.size() <= kPlaceDigits) return {};
    item_id.remove_suffix(kPlaceDigits);
    return fmt::format("{}{}", kResponse, item_id);
}

Result<std::vector<ChatMessage>> join(std::string_view instructions, std::span<const Item> before,
                                      std::span<const Item> own) {
    if (before.size() + own.size() > kMaxItems) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("The conversation has {} items; at most {} are allowed.", before.size() + own.size(),
                                kMaxItems),
                    before.empty() ? "input" : "previous_response_id");
    }
    Joiner joiner;
    if (!instructions.empty()) joiner.system(instructions);
    for (const Item& item : before) {
        if (auto added = joiner.add(item, "previous_response_id"); !added) return std::unexpected(added.error());
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
        if (auto added = joiner.add(own[i], fmt::format("input[{}]", i)); !added) return std::unexpected(added.error());
    }
    std::vector<ChatMessage> messages = std::move(joiner).messages();
    if (messages.empty()) return fail(ErrorCode::kInvalidArgument, "input is missing", "input");
    return messages;
}

}  // namespace sutazai::api::responses
