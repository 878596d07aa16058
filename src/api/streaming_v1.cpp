#include "api/streaming_v1.h"

#include <boost/json/array.hpp>
#include <utility>

#include "api/answer_parts.h"
#include "api/error_names.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::streaming_v1 {

namespace json = boost::json;

Result<ChatRequest> parse_chat(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    ChatRequest request{.stream = true};
    read_chat_fields(fields, request);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

void EventEncoder::start(std::string& out, Clock::time_point now) const {
    out += R"(data: {"type": "start", "model": )";
    append_quoted(out, model_);
    out += R"(, "timestamp": ")";
    out += timestamp(now);
    out += "\"}\n\n";
}

void EventEncoder::chunk(std::string& out, std::string_view content, bool is_final) const {
    out += R"(data: {"type": "chunk", "content": ")";
    append_escaped(out, content);
    out += is_final ? "\", \"is_final\": true}\n\n" : "\", \"is_final\": false}\n\n";
}

void EventEncoder::reasoning(std::string& out, std::string_view content) const {
    out += R"(data: {"type": "reasoning", "content": )";
    append_quoted(out, content);
    out += "}\n\n";
}

void EventEncoder::tool_calls(std::string& out, std::span<const ToolCallDelta> calls) const {
    json::array list;
    for (const ToolCallDelta& call : calls) {
        json::object entry{{"index", call.index}};
        if (!call.id.empty()) entry["id"] = call.id;
        if (!call.name.empty()) entry["name"] = call.name;
        entry["arguments"] = call.arguments;
        list.push_back(std::move(entry));
    }
    out += R"(data: {"type": "tool_calls", "tool_calls": )";
    append_json(out, list);
    out += "}\n\n";
}

void EventEncoder::complete(std::string& out, Clock::time_point now, const Finished& finished) const {
    out += R"(data: {"type": "complete", "timestamp": ")";
    out += timestamp(now);
    out += R"(", "finish_reason": ")";
    out += to_string(finished.reason);
    out += R"(", "usage": )";
    append_json(out, usage_json(finished.usage));
    out += "}\n\n";
}

void EventEncoder::error(std::string& out, const Error& error) const {
    out += R"(data: {"type": "error", "error": )";
    append_quoted(out, error.message);
    out += R"(, "code": ")";
    out += code_name(error.code);
    out += "\"}\n\n";
}

std::string encode_answer(std::string_view model, const Delta& answer, const Finished& finished,
                          Clock::time_point now) {
    json::object out{{"model", model}, {"content", answer.content}};
    if (!answer.reasoning.empty()) out["reasoning"] = answer.reasoning;
    if (!answer.tool_calls.empty()) out["tool_calls"] = tool_calls_json(answer);
    out["finish_reason"] = to_string(finished.reason);
    out["usage"] = usage_json(finished.usage);
    out["timestamp"] = timestamp(now);
    return to_json(out);
}

std::string encode_error(const Error& error) {
    return to_json(json::object{{"error",
                                 {{"message", error.message},
                                  {"type", openai_type(error.code)},
                                  {"field", or_null(error.field)},
                                  {"code", code_name(error.code)}}}});
}

}  // namespace sutazai::api::streaming_v1
