#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/json_text.h"
#include "upstream/outgoing.h"
#include "upstream/refuse.h"
#include "upstream/sampler_words.h"
#include "upstream/tool_words.h"

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

constexpr const char* kServer = "an OpenAI-compatible server";
constexpr std::string_view kAnyObject = R"({"type":"object"})";

json::value content_json(const ChatMessage& message) {
    if (message.content.empty()) return json::string();
    if (message.content.size() == 1 && message.content.front().image == nullptr) {
        return json::string(message.content.front().text);
    }
    json::array parts;
    for (const ContentPart& part : message.content) {
        if (part.image == nullptr) {
            parts.push_back({{"type", "text"}, {"text", part.text}});
            continue;
        }
        const std::string_view type = media_type_of(part.image->bytes);
        std::string url = "data:" + std::string(type) + ";base64,";
        url += to_base64(std::as_bytes(std::span(part.image->bytes)));
        parts.push_back({{"type", "image_url"}, {"image_url", {{"url", std::move(url)}}}});
    }
    return parts;
}

/// The one place where a message is written: what a message may hold more goes here.
json::object message_json(const ChatMessage& message) {
    json::object out{{"role", to_string(message.role)}, {"content", content_json(message)}};
    if (!message.name.empty()) out["name"] = message.name;
    if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
    if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
        calls.push_back({{"id", call.id},
                         {"type", "function"},
                         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    if (!calls.empty()) out["tool_calls"] = std::move(calls);
    return out;
}

Result<void> add_chat(json::object& out, const Chat& chat, bool extended) {
    json::array messages;
    for (const ChatMessage& message : chat.messages) messages.push_back(message_json(message));
    out["messages"] = std::move(messages);
    const bool last_is_assistants = !chat.messages.empty() && chat.messages.back().role == Role::kAssistant;
    switch (chat.turn) {
        case Turn::kNew:
            if (last_is_assistants && extended) out["add_generation_prompt"] = true;
            break;
        case Turn::kContinue:
            if (!extended) return cannot_say("continue_final_message", kServer);
            out["continue_final_message"] = true;
            break;
        case Turn::kOpen:
            if (!extended) return cannot_say("add_generation_prompt", kServer);
            out["add_generation_prompt"] = false;
            break;
    }
    return {};
}

/// What OpenAI's own API has no word for, whether it was given, and how a SutazAI is told.
Result<void> add_extensions(json::object& out, const GenerationRequest& request, bool extended) {
    const SamplingParams& sampling = request.sampling;
    json::object more;
    if (request.given.top_k) more["top_k"] = sampling.top_k;
    if (request.given.min_p) more["min_p"] = as_written(sampling.min_p);
    if (request.given.repeat_penalty) more["repeat_penalty"] = as_written(sampling.repeat_penalty);
    if (request.ignore_eos) more["ignore_eos"] = true;
    if (!request.grammar.empty()) more["grammar"] = request.grammar;
    for (auto& [name, value] : more_sampling_json(sampling)) more[name] = std::move(value);
    json::array adapters;
    for (const AdapterChoice& one : request.adapters) {
        adapters.push_back({{"name", one.name}, {"scale", as_written(one.scale)}});
    }
    if (request.given.adapters) more["adapters"] = std::move(adapters);
    if (!extended && !more.empty()) return cannot_say(std::string_view(more.begin()->key()), kServer);
    if (extended && request.priority != 0) more["priority"] = request.priority;
    for (auto& [name, value] : more) out[name] = std::move(value);
    return {};
}

void add_sampling(json::object& out, const GenerationRequest& request) {
    const SamplingParams& sampling = request.sampling;
    const GivenFields& given = request.given;
    if (given.temperature) out["temperature"] = as_written(sampling.temperature);
    if (given.top_p) out["top_p"] = as_written(sampling.top_p);
    if (given.presence_penalty) out["presence_penalty"] = as_written(sampling.presence_penalty);
    if (given.frequency_penalty) out["frequency_penalty"] = as_written(sampling.frequency_penalty);
    if (!sampling.logit_bias.empty()) out["logit_bias"] = logit_bias_json(sampling);
    if (sampling.seed) out["seed"] = static_cast<std::int64_t>(*sampling.seed);
    if (request.stop.size() == 1) {
        out["stop"] = request.stop.front();
    } else if (!request.stop.empty()) {
        out["stop"] = json::array(request.stop.begin(), request.stop.end());
    }
}

void add_format(json::object& out, const std::string& schema) {
    if (schema.empty()) return;
    if (schema == kAnyObject) {
        out["response_format"] = {{"type", "json_object"}};
        return;
    }
    // It was a document when it came.
    json::object named{{"name", "answer"}, {"schema", json::parse(schema)}, {"strict", true}};
    out["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(named)}};
}

json::object begin(const std::string& model) {
    return {{"model", model}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
}

Result<Outgoing> chat_request(json::object out, const GenerationRequest& request, const Chat& chat, bool extended) {
    if (auto added = add_chat(out, chat, extended); !added) return std::unexpected(std::move(added.error()));
    if (auto added = add_openai_tools(out, chat, extended, kServer); !added) {
        return std::unexpected(std::move(added.error()));
    }
    if (request.max_tokens > 0) out["max_tokens"] = request.max_tokens;
    if (request.top_logprobs >= 0) {
        out["logprobs"] = true;
        if (request.top_logprobs > 0) out["top_logprobs"] = request.top_logprobs;
    }
    return Outgoing{"/chat/completions", to_json(out), AnswerForm::kChatChunks};
}

Result<Outgoing> text_request(json::object out, const GenerationRequest& request) {
    if (const auto* gap = std::get_if<Infill>(&request.prompt)) {
        out["prompt"] = gap->prefix;
        out["suffix"] = gap->suffix;
    } else if (const auto* text = std::get_if<std::string>(&request.prompt)) {
        out["prompt"] = *text;
    } else {
        const auto& ids = std::get<std::vector<std::int32_t>>(request.prompt);
        out["prompt"] = json::array(ids.begin(), ids.end());
    }
    if (request.max_tokens < 0) {
        return fail(ErrorCode::kInvalidArgument,
                    "max_tokens must be given with this model: the server that has it ends a text after 16 tokens "
                    "where nothing is said",
                    "max_tokens");
    }
    out["max_tokens"] = request.max_tokens;
    if (request.echo) out["echo"] = true;
    if (request.top_logprobs >= 0) out["logprobs"] = request.top_logprobs;
    return Outgoing{"/completions", to_json(out), AnswerForm::kTextChunks};
}

Result<Outgoing> embedding_request(const std::string& model, const GenerationRequest& request) {
    json::object out{{"model", model}, {"encoding_format", "float"}};
    if (const auto* text = std::get_if<std::string>(&request.prompt)) {
        out["input"] = *text;
    } else if (const auto* ids = std::get_if<std::vector<std::int32_t>>(&request.prompt)) {
        out["input"] = json::array(ids->begin(), ids->end());
    } else {
        return cannot_say("input", kServer);
    }
    return Outgoing{"/embeddings", to_json(out), AnswerForm::kOpenAiVectors};
}

Result<Outgoing> generation_request(const std::string& model, const GenerationRequest& request, bool extended) {
    if (!request.chat_template.empty()) return cannot_say("template", kServer);
    if (!request.context.empty()) return cannot_say("context", kServer);
    if (request.truncate) return cannot_say("truncate", kServer);
    json::object out = begin(model);
    add_sampling(out, request);
    if (auto added = add_extensions(out, request, extended); !added) return std::unexpected(std::move(added.error()));
    add_format(out, request.json_schema);
    if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
        return chat_request(std::move(out), request, *chat, extended);
    }
    return text_request(std::move(out), request);
}

}  // namespace

Result<Outgoing> openai_request(const std::string& model, const GenerationRequest& request, bool extended) {
    auto out =
        request.task == Task::kEmbed ? embedding_request(model, request) : generation_request(model, request, extended);
    if (out && extended) out->path = "/v1" + out->path;
    return out;
}

}  // namespace sutazai::upstream
