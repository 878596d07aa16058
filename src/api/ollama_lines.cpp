#include "api/ollama_lines.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <iterator>
#include <optional>
#include <utility>

#include "api/answer_parts.h"
#include "api/logprobs_json.h"
#include "base/json_text.h"

namespace sutazai::api::ollama {

namespace json = boost::json;

namespace {

/// Arguments are an object here, where OpenAI has a string of JSON. What was cut off is none, and no call.
std::optional<json::value> arguments_json(const std::string& arguments) {
    if (arguments.empty()) return json::object();
    boost::system::error_code broken;
    json::value value = json::parse(arguments, broken);
    if (broken || !value.is_object()) return std::nullopt;
    return value;
}

/// {"role","content"} and what else there is.
json::object message_json(const Delta& delta) {
    json::object message{{"role", "assistant"}, {"content", delta.content}};
    if (!delta.reasoning.empty()) message["thinking"] = delta.reasoning;
    json::array calls;
    for (const ToolCallDelta& call : delta.tool_calls) {
        std::optional<json::value> arguments = arguments_json(call.arguments);
        if (!arguments) continue;
        json::object function{{"index", call.index}, {"name", call.name}};
        function["arguments"] = std::move(*arguments);
        json::object entry{{"id", call.id}};
        entry["function"] = std::move(function);
        calls.push_back(std::move(entry));
    }
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    return message;
}

json::array logprobs_json(std::span<const TokenScore> scores) {
    json::object of_chat = chat_logprobs(scores);
    return std::move(of_chat["content"].get_array());
}

json::object head_json(std::string_view model, WallTime now) {
    return {{"model", model}, {"created_at", timestamp(now)}};
}

void add_text(json::object& out, Route route, const Delta& delta) {
    if (route == Route::kChat) {
        out["message"] = message_json(delta);
    } else {
        out["response"] = delta.content;
        if (!delta.reasoning.empty()) out["thinking"] = delta.reasoning;
    }
}

const char* done_reason(FinishReason reason) {
    // A client that waits for tool calls finds them in the message.
    return reason == FinishReason::kLength ? "length" : "stop";
}

void add_end(json::object& out, const Finished& finished, const Durations& durations) {
    const auto ns = [](auto duration) { return std::chrono::nanoseconds(duration).count(); };
    out["done"] = true;
    out["done_reason"] = done_reason(finished.reason);
    out["total_duration"] = durations.total.count();
    out["load_duration"] = durations.load.count();
    out["prompt_eval_count"] = finished.usage.prompt_tokens;
    out["prompt_eval_duration"] = ns(finished.timings.prefill);
    out["eval_count"] = finished.usage.completion_tokens;
    out["eval_duration"] = ns(finished.timings.decode);
}

/// For the next request of the conversation: /api/generate has no messages.
void append_context(std::string& object, std::span<const std::int32_t> tokens) {
    if (tokens.empty()) return;
    object.pop_back();
    object += R"(,"context":[)";
    for (const std::int32_t token : tokens) {
        fmt::format_to(std::back_inserter(object), "{},", token);
    }
    object.back() = ']';
    object += '}';
}

}  // namespace

LineEncoder::LineEncoder(Route route, std::string_view model, bool logprobs) : route_(route), logprobs_(logprobs) {
    head_ = R"({"model":)";
    append_quoted(head_, model);
    head_ += R"(,"created_at":")";
}

void LineEncoder::content(std::string& out, WallTime now, const Delta& delta,
                          std::span<const TokenScore> scores) const {
    out += head_;
    out += timestamp(now);
    if (route_ == Route::kGenerate) {
        out += R"(","response":")";
        append_escaped(out, delta.content);
        out += '"';
        if (!delta.reasoning.empty()) {
            out += R"(,"thinking":)";
            append_quoted(out, delta.reasoning);
        }
    } else if (delta.reasoning.empty() && delta.tool_calls.empty()) {
        out += R"(","message":{"role":"assistant","content":")";
        append_escaped(out, delta.content);
        out += "\"}";
    } else {
        out += R"(","message":)";
        append_json(out, message_json(delta));
    }
    out += R"(,"done":false)";
    if (logprobs_ && !scores.empty()) {
        out += R"(,"logprobs":)";
        append_json(out, logprobs_json(scores));
    }
    out += "}\n";
}

void LineEncoder::finish(std::string& out, WallTime now, const Finished& finished, const Durations& durations) const {
    out += head_;
    out += timestamp(now);
    out += "\",";
    json::object rest;
    add_text(rest, route_, {});
    add_end(rest, finished, durations);
    std::string text = to_json(rest);
    append_context(text, finished.tokens);
    out += std::string_view(text).substr(1);  // what comes before it is in the head
    out += '\n';
}

void LineEncoder::error(std::string& out, const Error& error) const {
    out += encode_error(error);
    out += '\n';
}

std::string encode_answer(Route route, std::string_view model, WallTime now, const Choice& choice,
                          const Durations& durations, bool logprobs) {
    json::object answer = head_json(model, now);
    add_text(answer, route, choice.answer);
    add_end(answer, choice.finished, durations);
    if (logprobs) answer["logprobs"] = logprobs_json(choice.scores);
    std::string out = to_json(answer);
    append_context(out, choice.finished.tokens);
    return out;
}

std::string encode_order(Route route, std::string_view model, WallTime now, std::string_view reason) {
    json::object answer = head_json(model, now);
    add_text(answer, route, {});
    answer["done"] = true;
    answer["done_reason"] = reason;
    return to_json(answer);
}

std::string encode_error(const Error& error) {
    return to_json(json::object{{"error", error.message}});
}

}  // namespace sutazai::api::ollama
