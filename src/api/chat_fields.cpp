#include "api/chat_fields.h"

#include <fmt/format.h>

#include <utility>

#include "api/image_fields.h"
#include "api/response_format.h"
#include "api/sampler_fields.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"

namespace sutazai::api {

namespace json = boost::json;

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

/// A short word of the request, for an error message; long ones are not worth repeating.
std::string shown(const std::string& word) {
    return word.size() <= 40 ? fmt::format("\"{}\"", word) : "a long string";
}

void read_part(const json::value& part, FieldReader& message, const std::string& name, ChatMessage& out) {
    if (!part.is_object()) {
        return message.refuse(name, fmt::format("must be an object with a type (got {})", kind_of(part)));
    }
    FieldReader fields(part.get_object(), message.error(), message.path_of(name) + ".");
    std::string type;
    fields.string("type", type);
    if (type == "image_url") {
        read_image_url_field(fields, out);
        return refuse_unknown(fields, {"cache_control"});
    }
    if (type != "text") {
        if (type.empty()) return fields.refuse("type", "is missing; \"text\" and \"image_url\" are supported");
        return fields.refuse("type", fmt::format("{} is not supported; \"text\" and \"image_url\" are", shown(type)));
    }
    if (fields.find("text") == nullptr) return fields.refuse("text", "is missing");
    std::string text;
    fields.string("text", text);
    out.content.push_back({std::move(text)});
    refuse_unknown(fields, {"annotations", "cache_control"});
}

void read_content(FieldReader& message, ChatMessage& out) {
    const json::value* value = message.find("content");
    if (value == nullptr) return message.refuse("content", "is missing");
    if (value->is_string()) {
        out.content.push_back({std::string(std::string_view(value->get_string()))});
    } else if (value->is_array()) {
        std::size_t index = 0;
        for (const json::value& part : value->get_array()) {
            read_part(part, message, fmt::format("content[{}]", index++), out);
            if (message.failed()) return;
        }
    } else {
        message.refuse("content", fmt::format("must be a string or an array of parts (got {})", kind_of(*value)));
    }
}

void read_role(FieldReader& message, Role& out) {
    std::string role;
    message.string("role", role);
    if (role.empty()) return message.refuse("role", "is missing");
    for (const Role known : {Role::kSystem, Role::kDeveloper, Role::kUser, Role::kAssistant, Role::kTool}) {
        if (role != to_string(known)) continue;
        out = known;
        return;
    }
    message.refuse("role", fmt::format("must be system, developer, user, assistant or tool (got {})", shown(role)));
}

ChatMessage read_message(FieldReader& message) {
    ChatMessage out;
    read_role(message, out.role);
    read_tool_calls(message, out);
    if (message.find_unsupported("function_call") != nullptr) {
        message.refuse("function_call", "is not supported; newer clients have tool_calls");
    }
    // What calls a tool need say nothing.
    if (out.tool_calls.empty() || message.find("content") != nullptr) read_content(message, out);
    message.string("name", out.name);
    for (const auto& [name, member] :
         {std::pair{"tool_call_id", &ChatMessage::tool_call_id}, std::pair{"tool_name", &ChatMessage::name}}) {
        if (message.find(name) == nullptr) continue;
        message.string(name, out.*member);
        if (out.role != Role::kTool) message.refuse(name, "goes with a tool's messages only");
    }
    // Newer vLLM's and OpenRouter's name, Ollama's, and DeepSeek's and llama-server's.
    for (const char* name : {"reasoning", "thinking", "reasoning_content"}) {
        message.string(name, out.reasoning);
        if (message.find(name) != nullptr && !out.reasoning.empty() && out.role != Role::kAssistant) {
            message.refuse(name, "goes with the assistant's messages only");
        }
    }
    read_image_list(message, out);  // Ollama's way
    // What an answer holds, and clients send back as it came.
    refuse_unknown(message, {"annotations", "id", "refusal", "type"});
    return out;
}

std::vector<ChatMessage> read_messages(FieldReader& fields) {
    std::vector<ChatMessage> messages;
    const json::value* value = fields.find("messages");
    if (value == nullptr) {
        fields.refuse("messages", "is missing");
        return messages;
    }
    if (!value->is_array()) {
        fields.refuse("messages", fmt::format("must be an array (got {})", kind_of(*value)));
        return messages;
    }
    const json::array& list = value->get_array();
    if (list.empty() || list.size() > kMaxMessages) {
        fields.refuse("messages", fmt::format("must hold 1 to {} messages (got {})", kMaxMessages, list.size()));
        return messages;
    }
    messages.reserve(list.size());
    for (const json::value& entry : list) {
        const std::string name = fmt::format("messages[{}]", messages.size());
        if (!entry.is_object()) {
            fields.refuse(name, fmt::format("must be an object (got {})", kind_of(entry)));
            break;
        }
        FieldReader message(entry.get_object(), fields.error(), fields.path_of(name) + ".");
        messages.push_back(read_message(message));
        if (fields.failed()) break;
    }
    return messages;
}

void read_optional(FieldReader& fields, const char* name, std::optional<bool>& out) {
    if (fields.find(name) == nullptr) return;
    bool value = false;
    fields.boolean(name, value);
    out = value;
}

}  // namespace

Chat read_chat(FieldReader& fields) {
    Chat chat{.messages = read_messages(fields)};
    check_images(fields, "messages", chat);
    std::optional<bool> goes_on;
    std::optional<bool> begins;
    read_optional(fields, "continue_final_message", goes_on);
    read_optional(fields, "add_generation_prompt", begins);
    if (fields.failed()) return chat;
    const bool last_is_assistants = chat.messages.back().role == Role::kAssistant;
    if (goes_on == true && begins == true) {
        fields.refuse("continue_final_message", "and add_generation_prompt exclude each other");
    } else if (goes_on == true && !last_is_assistants) {
        fields.refuse("continue_final_message", "needs a last message that is the assistant's");
    } else if (goes_on.value_or(last_is_assistants && begins != true)) {
        chat.turn = Turn::kContinue;
    } else if (begins == false) {
        chat.turn = Turn::kOpen;
    }
    read_tools(fields, chat);
    read_reasoning(fields, chat);
    return chat;
}

void read_stop(FieldReader& fields, std::vector<std::string>& out, std::string_view name) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return;
    out.clear();
    const auto add = [&](const json::value& entry, std::string_view place) {
        if (!entry.is_string()) return fields.refuse(place, fmt::format("must be a string (got {})", kind_of(entry)));
        const std::size_t size = entry.get_string().size();
        if (size == 0 || size > kMaxStopBytes) {
            return fields.refuse(place, fmt::format("must have 1 to {} bytes (got {})", kMaxStopBytes, size));
        }
        out.emplace_back(std::string_view(entry.get_string()));
    };
    if (!value->is_array()) {
        if (value->is_string()) return add(*value, name);
        return fields.refuse(name, fmt::format("must be a string or an array of strings (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.size() > kMaxStops) {
        return fields.refuse(name, fmt::format("must hold at most {} strings (got {})", kMaxStops, list.size()));
    }
    for (std::size_t i = 0; i < list.size(); ++i) add(list[i], fmt::format("{}[{}]", name, i));
}

void read_logprobs(FieldReader& fields, int& top_logprobs) {
    bool wanted = false;
    fields.boolean("logprobs", wanted);
    int top = 0;
    fields.integer("top_logprobs", 0, kMaxTopLogprobs, top);
    if (top > 0 && !wanted) fields.refuse("top_logprobs", "needs \"logprobs\": true");
    if (wanted) top_logprobs = top;
}

void read_keep_alive(FieldReader& fields, std::optional<KeepAlive>& out) {
    const json::value* value = fields.find("keep_alive");
    if (value == nullptr) return;
    std::optional<KeepAlive> read;
    if (value->is_string()) {
        read = parse_duration(std::string_view(value->get_string()));
    } else if (value->is_number()) {
        read = duration_from_seconds(value->to_number<double>());
    }
    if (!read) return fields.refuse("keep_alive", R"(must be a time such as "5m" or "1h30m", or a number of seconds)");
    out = read->count() < 0 ? kKeepForEver : *read;
}

void note_given(const FieldReader& fields, GivenFields& given) {
    const std::pair<const char*, bool GivenFields::*> names[] = {{"temperature", &GivenFields::temperature},
                                                                 {"top_k", &GivenFields::top_k},
                                                                 {"top_p", &GivenFields::top_p},
                                                                 {"min_p", &GivenFields::min_p},
                                                                 {"repeat_penalty", &GivenFields::repeat_penalty},
                                                                 {"presence_penalty", &GivenFields::presence_penalty},
                                                                 {"frequency_penalty", &GivenFields::frequency_penalty},
                                                                 {"seed", &GivenFields::seed},
                                                                 {"stop", &GivenFields::stop}};
    for (const auto& [name, member] : names) given.*member |= fields.find(name) != nullptr;
}

void read_sampling(FieldReader& fields, SamplingParams& out) {
    fields.number("temperature", {0, 2}, out.temperature);
    fields.number("top_p", {0, 1, true}, out.top_p);
    fields.integer("top_k", 0, 10000, out.top_k);
    fields.number("min_p", {0, 1}, out.min_p);
    fields.number("repeat_penalty", {0, 2, true}, out.repeat_penalty);
    fields.number("presence_penalty", {-2, 2}, out.presence_penalty);
    fields.number("frequency_penalty", {-2, 2}, out.frequency_penalty);
    read_more_sampling(fields, out);
    read_logit_bias(fields, out);
    std::int64_t seed = -1;
    fields.integer("seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), seed);
    if (seed != -1) out.seed = static_cast<std::uint64_t>(seed);
}

void read_adapters(FieldReader& fields, GenerationRequest& out) {
    const json::value* value = fields.find("adapters");
    if (value == nullptr) return;
    constexpr std::size_t kMost = 16;
    if (!value->is_array() || value->get_array().size() > kMost) {
        return fields.refuse("adapters", fmt::format("must be a list of at most {} adapters", kMost));
    }
    out.given.adapters = true;
    out.adapters.clear();
    for (const json::value& entry : value->get_array()) {
        const std::string place = fmt::format("adapters[{}]", out.adapters.size());
        if (!entry.is_object()) return fields.refuse(place, fmt::format("must be an object (got {})", kind_of(entry)));
        FieldReader one(entry.get_object(), fields.error(), fields.path_of(place) + ".");
        AdapterChoice adapter;
        one.string("name", adapter.name);
        one.number("scale", {-kMostAdapterScale, kMostAdapterScale}, adapter.scale);
        if (adapter.name.empty()) one.refuse("name", "is missing");
        refuse_unknown(one);
        if (fields.failed()) return;
        out.adapters.push_back(std::move(adapter));
    }
}

void read_generation_fields(FieldReader& fields, ChatRequest& out, int least_max_tokens) {
    GenerationRequest& generation = out.generation;
    fields.string("model", out.model);
    read_sampling(fields, generation.sampling);
    fields.integer("max_tokens", least_max_tokens, kMaxInt, generation.max_tokens);
    read_stop(fields, generation.stop);
    note_given(fields, generation.given);
    read_adapters(fields, generation);
    generation.given.max_tokens |= fields.find("max_tokens") != nullptr;
    read_response_format(fields, generation);
    fields.boolean("ignore_eos", generation.ignore_eos);
    fields.integer("priority", -1000, 1000, generation.priority);
    read_keep_alive(fields, out.keep_alive);
    fields.boolean("stream", out.stream);
}

void read_chat_fields(FieldReader& fields, ChatRequest& out) {
    out.generation.prompt = read_chat(fields);
    read_generation_fields(fields, out);
}

}  // namespace sutazai::api
