#include "api/openai.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>

#include "api/answer_parts.h"
#include "api/error_names.h"
#include "api/logprobs_json.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

json::object error_json(const Error& error) {
    const bool no_such_model = error.code == ErrorCode::kNotFound && error.field == "model";
    return {{"error",
             {{"message", error.message},
              {"type", openai_type(error.code)},
              {"param", or_null(error.field)},
              {"code", no_such_model ? "model_not_found" : code_name(error.code)}}}};
}

/// What there is of it. The fields of reasoning are those of vLLM and llama-server.
json::object delta_json(const Delta& delta) {
    json::object out;
    if (!delta.content.empty()) out["content"] = delta.content;
    if (!delta.reasoning.empty()) out["reasoning_content"] = delta.reasoning;
    json::array calls;
    for (const ToolCallDelta& call : delta.tool_calls) {
        json::object of_call{{"index", call.index}};
        if (!call.id.empty()) {
            of_call["id"] = call.id;
            of_call["type"] = "function";
        }
        json::object function;
        if (!call.name.empty()) function["name"] = call.name;
        function["arguments"] = call.arguments;
        of_call["function"] = std::move(function);
        calls.push_back(std::move(of_call));
    }
    if (!calls.empty()) out["tool_calls"] = std::move(calls);
    return out;
}

json::object message_json(const Delta& answer) {
    json::object out{{"role", "assistant"}, {"content", answer.content}, {"refusal", nullptr}};
    if (!answer.reasoning.empty()) out["reasoning_content"] = answer.reasoning;
    if (answer.tool_calls.empty()) return out;
    if (answer.content.empty()) out["content"] = nullptr;
    out["tool_calls"] = tool_calls_json(answer);
    return out;
}

json::object model_json(const ModelCard& card) {
    return {{"id", card.id}, {"object", "model"}, {"created", card.created_unix_s}, {"owned_by", "sutazai"}};
}

}  // namespace

void read_stream_options(FieldReader& fields, bool& include_usage) {
    const json::value* options = fields.find("stream_options");
    if (options == nullptr) return;
    if (!options->is_object()) {
        return fields.refuse("stream_options", fmt::format("must be an object (got {})", kind_of(*options)));
    }
    FieldReader inner(options->get_object(), fields.error(), "stream_options.");
    inner.boolean("include_usage", include_usage);
    refuse_unknown(inner, {"include_obfuscation"});
}

json::object head_json(const Identity& identity, std::string_view object) {
    return {{"id", identity.id}, {"object", object}, {"created", identity.created_unix_s}, {"model", identity.model}};
}

std::string chunk_head(const Identity& identity, std::string_view object) {
    std::string out = "data: ";
    append_json(out, head_json(identity, object));
    out.back() = ',';
    return out + R"("choices":[)";
}

void append_error_event(std::string& out, const Error& error) {
    out += "data: ";
    append_json(out, error_json(error));
    out += "\n\n";
}

Result<OpenAiChatRequest> parse_chat(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    OpenAiChatRequest request;
    read_chat_fields(fields, request);
    fields.integer("max_completion_tokens", 1, std::numeric_limits<int>::max(), request.generation.max_tokens);
    request.generation.given.max_tokens |= fields.find("max_completion_tokens") != nullptr;
    read_stream_options(fields, request.include_usage);
    fields.integer("n", 1, kMaxChoices, request.n);
    read_logprobs(fields, request.generation.top_logprobs);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

ChunkEncoder::ChunkEncoder(const Identity& identity, bool include_usage, bool logprobs)
    : head_(chunk_head(identity, "chat.completion.chunk")), include_usage_(include_usage), logprobs_(logprobs) {
    // OpenAI's streams that will end with usage have "usage": null in every chunk before.
    tail_ = include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
}

void ChunkEncoder::start(std::string& out, std::size_t index) const {
    out += head_;
    out += R"({"index":)";
    append_number(out, index);
    out += R"(,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})";
    out += tail_;
}

void ChunkEncoder::content(std::string& out, std::size_t index, const Delta& delta,
                           std::span<const TokenScore> scores) const {
    out += head_;
    out += R"({"index":)";
    append_number(out, index);
    out += R"(,"delta":)";
    if (delta.reasoning.empty() && delta.tool_calls.empty()) {
        out += R"({"content":")";
        append_escaped(out, delta.content);
        out += R"("})";
    } else {
        append_json(out, delta_json(delta));
    }
    out += R"(,"logprobs":)";
    if (logprobs_) {
        append_json(out, chat_logprobs(scores));
    } else {
        out += "null";
    }
    out += R"(,"finish_reason":null})";
    out += tail_;
}

void ChunkEncoder::finish(std::string& out, std::size_t index, FinishReason reason) const {
    out += head_;
    out += R"({"index":)";
    append_number(out, index);
    out += R"(,"delta":{},"logprobs":null,"finish_reason":")";
    out += to_string(reason);
    out += "\"}";
    out += tail_;
}

void ChunkEncoder::end(std::string& out, const Usage& usage, const json::value& timings) const {
    if (include_usage_) {
        out += head_;
        out += R"(],"usage":)";
        append_json(out, usage_json(usage));
        if (!timings.is_null()) {
            out += R"(,"timings":)";
            append_json(out, timings);
        }
        out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
}

std::string encode_answer(const Identity& identity, std::span<const Choice> choices, bool logprobs) {
    json::array list;
    for (const Choice& choice : choices) {
        list.push_back({{"index", list.size()},
                        {"message", message_json(choice.answer)},
                        {"logprobs", logprobs ? json::value(chat_logprobs(choice.scores)) : json::value()},
                        {"finish_reason", to_string(choice.finished.reason)}});
    }
    json::object answer = head_json(identity, "chat.completion");
    answer["choices"] = std::move(list);
    answer["usage"] = usage_json(total_usage(choices, choices.size()));
    return to_json(answer);
}

std::string encode_error(const Error& error) {
    return to_json(error_json(error));
}

std::string encode_model(const ModelCard& card) {
    return to_json(model_json(card));
}

std::string encode_models(std::span<const ModelCard> cards) {
    json::array list;
    for (const ModelCard& card : cards) list.push_back(model_json(card));
    return to_json(json::object{{"object", "list"}, {"data", std::move(list)}});
}

}  // namespace sutazai::api::openai
