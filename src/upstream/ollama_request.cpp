#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <span>
#include <string>
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

constexpr const char* kServer = "an Ollama";
constexpr std::string_view kAnyObject = R"({"type":"object"})";

std::string text_of(const ChatMessage& message) {
    std::string text;
    for (const ContentPart& part : message.content) text += part.text;
    return text;
}

/// The one place where a message is written: what a message may hold more goes here.
json::object message_json(const ChatMessage& message) {
    // Ollama's templates know no developer.
    const Role role = message.role == Role::kDeveloper ? Role::kSystem : message.role;
    json::object out{{"role", to_string(role)}, {"content", text_of(message)}};
    if (!message.reasoning.empty()) out["thinking"] = message.reasoning;
    if (message.role == Role::kTool && !message.name.empty()) out["tool_name"] = message.name;
    json::array images;
    for (const ContentPart& part : message.content) {
        if (part.image != nullptr) images.emplace_back(to_base64(std::as_bytes(std::span(part.image->bytes))));
    }
    if (!images.empty()) out["images"] = std::move(images);
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
        boost::system::error_code broken;
        json::value arguments = json::parse(call.arguments, broken);
        if (broken) arguments = json::object();
        json::object function{{"name", call.name}, {"arguments", std::move(arguments)}};
        json::object entry;
        entry["function"] = std::move(function);
        calls.push_back(std::move(entry));
    }
    if (!calls.empty()) out["tool_calls"] = std::move(calls);
    return out;
}

json::object options_json(const GenerationRequest& request) {
    const SamplingParams& sampling = request.sampling;
    const GivenFields& given = request.given;
    json::object out;
    if (given.temperature) out["temperature"] = as_written(sampling.temperature);
    if (given.top_k) out["top_k"] = sampling.top_k;
    if (given.top_p) out["top_p"] = as_written(sampling.top_p);
    if (given.min_p) out["min_p"] = as_written(sampling.min_p);
    if (given.repeat_penalty) out["repeat_penalty"] = as_written(sampling.repeat_penalty);
    if (given.presence_penalty) out["presence_penalty"] = as_written(sampling.presence_penalty);
    if (given.frequency_penalty) out["frequency_penalty"] = as_written(sampling.frequency_penalty);
    for (auto& [name, value] : more_sampling_json(sampling)) out[name] = std::move(value);
    if (!sampling.logit_bias.empty()) out["logit_bias"] = logit_bias_json(sampling);
    if (sampling.seed) out["seed"] = static_cast<std::int64_t>(*sampling.seed);
    if (!request.stop.empty()) out["stop"] = json::array(request.stop.begin(), request.stop.end());
    if (request.max_tokens > 0) out["num_predict"] = request.max_tokens;
    if (request.context_tokens > 0) out["num_ctx"] = request.context_tokens;
    return out;
}

Result<void> check(const GenerationRequest& request, bool extended) {
    if (request.given.adapters && !extended) return cannot_say("adapters", kServer);
    if (request.ignore_eos) return cannot_say("ignore_eos", kServer);
    if (!request.grammar.empty()) return cannot_say("grammar", kServer);
    if (request.echo) return cannot_say("echo", kServer);
    if (std::holds_alternative<std::vector<std::int32_t>>(request.prompt)) return cannot_say("prompt", kServer);
    if (extended) return {};
    if (!request.sampling.logit_bias.empty()) return cannot_say("logit_bias", kServer);
    constexpr auto kKnown =
        std::to_array<std::string_view>({"repeat_last_n", "typical_p", "mirostat", "mirostat_tau", "mirostat_eta"});
    for (const auto& [name, value] : more_sampling_json(request.sampling)) {
        if (std::ranges::find(kKnown, std::string_view(name)) == kKnown.end())
            return cannot_say(std::string_view(name), kServer);
    }
    return {};
}

/// A chat as /api/generate has it: what the system says, and what the user does. Only that route has a template and
/// the tokens of what was said before.
bool fits_generate(const Chat& chat) {
    const std::size_t n = chat.messages.size();
    return chat.tools.empty() && chat.turn == Turn::kNew &&
           (n == 1 || (n == 2 && chat.messages.front().role == Role::kSystem)) &&
           chat.messages.back().role == Role::kUser;
}

Outgoing generate_chat(json::object out, const GenerationRequest& request, const Chat& chat) {
    if (chat.messages.size() == 2) out["system"] = text_of(chat.messages.front());
    out["prompt"] = text_of(chat.messages.back());
    if (!request.chat_template.empty()) out["template"] = request.chat_template;
    if (!request.context.empty()) out["context"] = json::array(request.context.begin(), request.context.end());
    return {"/api/generate", to_json(out), AnswerForm::kOllamaLines};
}

Result<Outgoing> chat_request(json::object out, const GenerationRequest& request, const Chat& chat, bool extended) {
    if (auto added = add_ollama_tools(out, chat, extended, kServer); !added) {
        return std::unexpected(std::move(added.error()));
    }
    const bool generates = request.returns_tokens || !request.chat_template.empty() || !request.context.empty();
    if (generates && fits_generate(chat)) return generate_chat(std::move(out), request, chat);
    if (!request.chat_template.empty()) return cannot_say("template", kServer);
    if (!request.context.empty()) return cannot_say("context", kServer);
    const bool last_is_assistants = !chat.messages.empty() && chat.messages.back().role == Role::kAssistant;
    // A last message of the assistant's is gone on with.
    if (chat.turn == Turn::kOpen || (chat.turn == Turn::kNew && last_is_assistants)) {
        return cannot_say("add_generation_prompt", kServer);
    }
    json::array messages;
    for (const ChatMessage& message : chat.messages) messages.push_back(message_json(message));
    out["messages"] = std::move(messages);
    if (request.truncate) out["truncate"] = true;
    return Outgoing{"/api/chat", to_json(out), AnswerForm::kOllamaLines};
}

Result<Outgoing> embedding_request(const std::string& model, const GenerationRequest& request) {
    const auto* text = std::get_if<std::string>(&request.prompt);
    if (text == nullptr) return cannot_say("input", kServer);
    // Which Ollama does unless it is told not to.
    json::object out{{"model", model}, {"input", *text}, {"truncate", request.truncate}};
    return Outgoing{"/api/embed", to_json(out), AnswerForm::kOllamaVectors};
}

}  // namespace

Result<Outgoing> ollama_request(const std::string& model, const GenerationRequest& request, bool extended) {
    if (request.task == Task::kEmbed) return embedding_request(model, request);
    if (auto checked = check(request, extended); !checked) return std::unexpected(std::move(checked.error()));
    json::object out{{"model", model}, {"stream", true}};
    if (json::object options = options_json(request); !options.empty()) out["options"] = std::move(options);
    if (!request.json_schema.empty()) {
        // It was a document when it came.
        out["format"] = request.json_schema == kAnyObject ? json::value("json") : json::parse(request.json_schema);
    }
    if (request.top_logprobs >= 0) {
        out["logprobs"] = true;
        if (request.top_logprobs > 0) out["top_logprobs"] = request.top_logprobs;
    }
    json::array adapters;
    for (const AdapterChoice& one : request.adapters) {
        adapters.push_back({{"name", one.name}, {"scale", as_written(one.scale)}});
    }
    if (request.given.adapters) out["adapters"] = std::move(adapters);
    if (const auto* chat = std::get_if<Chat>(&request.prompt))
        return chat_request(std::move(out), request, *chat, extended);
    if (const auto* gap = std::get_if<Infill>(&request.prompt)) {
        out["prompt"] = gap->prefix;
        out["suffix"] = gap->suffix;
    } else {
        out["prompt"] = std::get<std::string>(request.prompt);
        out["raw"] = true;
    }
    return Outgoing{"/api/generate", to_json(out), AnswerForm::kOllamaLines};
}

}  // namespace sutazai::upstream
