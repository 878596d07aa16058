#include "api/anthropic_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "api/answer_parts.h"
#include "api/anthropic_messages.h"
#include "api/error_names.h"
#include "base/json_text.h"

namespace sutazai::api::anthropic {

namespace json = boost::json;

namespace {

constexpr std::string_view kDeltaEnd = "\"}}\n\n";
constexpr const char* kPromptIsTooLong = "prompt is too long: ";

json::object usage_json(const Telling& telling, const Usage& usage) {
    const std::uint32_t computed = usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens);
    json::object out{{"input_tokens", telling.counts_creation ? 0 : computed},
                     {"cache_creation_input_tokens", telling.counts_creation ? computed : 0},
                     {"cache_read_input_tokens", usage.cached_tokens},
                     {"output_tokens", telling.writes_nothing ? 0 : usage.completion_tokens}};
    if (usage.reasoning_tokens > 0 && !telling.writes_nothing) {
        out["output_tokens_details"] = {{"thinking_tokens", usage.reasoning_tokens}};
    }
    return out;
}

bool is_stop_sequence(const Telling& telling, const Finished& finished) {
    return finished.reason == FinishReason::kStop && !finished.stop.empty() &&
           std::ranges::find(telling.stops, finished.stop) != telling.stops.end();
}

const char* stop_reason(const Telling& telling, const Finished& finished) {
    if (telling.writes_nothing) return "max_tokens";
    switch (finished.reason) {
        case FinishReason::kToolCalls: return "tool_use";
        case FinishReason::kLength: {
            const std::uint32_t n = finished.usage.completion_tokens;
            // Where it is not known, as of some servers, what was asked for is the likelier reason.
            const bool had_its_tokens =
                n == 0 || telling.max_tokens < 0 || std::cmp_greater_equal(n, telling.max_tokens);
            return had_its_tokens ? "max_tokens" : "model_context_window_exceeded";
        }
        case FinishReason::kStop:
        case FinishReason::kCancelled: break;
    }
    return is_stop_sequence(telling, finished) ? "stop_sequence" : "end_turn";
}

void append_stop(std::string& out, const Telling& telling, const Finished& finished) {
    out += R"("stop_reason":")";
    out += stop_reason(telling, finished);
    out += R"(","stop_sequence":)";
    if (is_stop_sequence(telling, finished)) {
        append_quoted(out, finished.stop);
    } else {
        out += "null";
    }
}

void append_message_head(std::string& out, const Telling& telling) {
    out += R"({"id":)";
    append_quoted(out, telling.id);
    out += R"(,"type":"message","role":"assistant","model":)";
    append_quoted(out, telling.model);
    out += R"(,"content":[)";
}

bool is_object(const std::string& text) {
    json::error_code failure;
    const json::value value = json::parse(text, failure);
    return !failure && value.is_object();
}

/// As the value of `input`; nothing for a call that was cut off.
std::optional<std::string> input_of(const std::string& arguments, FinishReason reason) {
    if (arguments.empty()) return "{}";
    if (is_object(arguments)) return arguments;
    if (reason != FinishReason::kToolCalls) return std::nullopt;
    // The model has said all that it wanted, and it is no JSON. This is how Anthropic's documents have such text told.
    return to_json(json::object{{"INVALID_JSON", arguments}});
}

json::object error_json(const Error& error, std::string_view request_id) {
    // Clients shorten a conversation by these words.
    const char* begins = error.code == ErrorCode::kContextOverflow ? kPromptIsTooLong : "";
    json::object what{{"type", anthropic_type(error.code)}, {"message", begins + error.message}};
    // The client's tool runner goes on without a thread then.
    if (error.field == "thread") what["details"] = {{"error_code", "thread_unsupported_request"}};
    return {{"type", "error"}, {"error", std::move(what)}, {"request_id", or_null(request_id)}};
}

json::object model_json(const ModelCard& card) {
    const auto created = std::chrono::system_clock::from_time_t(card.created_unix_s);
    return {{"type", "model"},
            {"id", card.id},
            {"display_name", card.id},
            {"created_at", timestamp(created)},
            {"lifecycle", "active"}};
}

}  // namespace

void EventEncoder::start(std::string& out) const {
    out += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":";
    append_message_head(out, telling_);
    out += R"(],"stop_reason":null,"stop_sequence":null,"usage":)";
    // What the prompt has is known at the end, and message_delta tells.
    append_json(out, usage_json(telling_, {}));
    out += "}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
}

void EventEncoder::begin(std::string& out, Block block, std::string_view content, std::string_view delta) {
    end(out);
    block_ = block;
    const std::size_t index = n_blocks_++;
    out += "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":";
    append_number(out, index);
    out += ",\"content_block\":";
    out += content;
    out += "}\n\n";
    head_ = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
    append_number(head_, index);
    head_ += ",\"delta\":{\"type\":";
    head_ += delta;
}

void EventEncoder::end(std::string& out) {
    if (block_ == Block::kNone) return;
    const std::size_t index = n_blocks_ - 1;
    if (block_ == Block::kThinking) {
        out += "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
        append_number(out, index);
        out += R"(,"delta":{"type":"signature_delta","signature":")";
        out += signature_of(std::exchange(thoughts_, {}), telling_.hides_thoughts);
        out += kDeltaEnd;
    }
    out += "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":";
    append_number(out, index);
    out += "}\n\n";
    block_ = Block::kNone;
}

void EventEncoder::append(std::string& out, std::string_view text) const {
    out += head_;
    append_escaped(out, text);
    out += kDeltaEnd;
}

void EventEncoder::think(std::string& out, const std::string& thoughts) {
    if (block_ != Block::kThinking) {
        begin(out, Block::kThinking, R"({"type":"thinking","thinking":"","signature":""})",
              R"("thinking_delta","thinking":")");
    }
    if (telling_.hides_thoughts) {
        thoughts_ += thoughts;
    } else {
        append(out, thoughts);
    }
}

void EventEncoder::call(std::string& out, const ToolCallDelta& delta) {
    if (block_ != Block::kToolUse || call_ != delta.index) {
        std::string content = R"({"type":"tool_use","id":)";
        append_quoted(content, delta.id);
        content += ",\"name\":";
        append_quoted(content, delta.name);
        content += ",\"input\":{}}";
        begin(out, Block::kToolUse, content, R"("input_json_delta","partial_json":")");
        call_ = delta.index;
    }
    if (!delta.arguments.empty()) append(out, delta.arguments);
}

void EventEncoder::content(std::string& out, const Delta& delta) {
    if (telling_.writes_nothing) return;
    if (!delta.reasoning.empty()) think(out, delta.reasoning);
    if (!delta.content.empty()) {
        if (block_ != Block::kText)
            begin(out, Block::kText, R"({"type":"text","text":""})", R"("text_delta","text":")");
        append(out, delta.content);
    }
    for (const ToolCallDelta& one : delta.tool_calls) call(out, one);
}

void EventEncoder::finish(std::string& out, const Finished& finished) {
    end(out);
    out += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{";
    append_stop(out, telling_, finished);
    out += "},\"usage\":";
    append_json(out, usage_json(telling_, finished.usage));
    out += "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
}

void EventEncoder::error(std::string& out, const Error& error) const {
    out += "event: error\ndata: ";
    append_json(out, error_json(error, telling_.request_id));
    out += "\n\n";
}

std::string encode_message(const Telling& telling, const Choice& choice) {
    std::string out;
    append_message_head(out, telling);
    const Delta& answer = choice.answer;
    const std::size_t begin = out.size();
    const auto next = [&out, begin] {
        if (out.size() > begin) out += ',';
    };
    if (!answer.reasoning.empty() && !telling.writes_nothing) {
        out += R"({"type":"thinking","thinking":)";
        append_quoted(out, telling.hides_thoughts ? std::string_view() : std::string_view(answer.reasoning));
        out += ",\"signature\":";
        append_quoted(out, signature_of(answer.reasoning, telling.hides_thoughts));
        out += '}';
    }
    if (!answer.content.empty() && !telling.writes_nothing) {
        next();
        out += R"({"type":"text","text":)";
        append_quoted(out, answer.content);
        out += '}';
    }
    for (const ToolCallDelta& call : answer.tool_calls) {
        const std::optional<std::string> input = input_of(call.arguments, choice.finished.reason);
        if (!input || telling.writes_nothing) continue;
        next();
        out += R"({"type":"tool_use","id":)";
        append_quoted(out, call.id);
        out += ",\"name\":";
        append_quoted(out, call.name);
        out += ",\"input\":";
        out += *input;
        out += '}';
    }
    out += "],";
    append_stop(out, telling, choice.finished);
    out += ",\"usage\":";
    append_json(out, usage_json(telling, choice.finished.usage));
    return out + '}';
}

std::string encode_count(std::size_t n_tokens) {
    return to_json(json::object{{"input_tokens", n_tokens}});
}

std::string encode_error(const Error& error, std::string_view request_id) {
    return to_json(error_json(error, request_id));
}

std::string encode_model(const ModelCard& card) {
    return to_json(model_json(card));
}

std::string encode_models(const ModelPage& page) {
    json::array list;
    for (const ModelCard& card : page.cards) list.push_back(model_json(card));
    const bool some = !page.cards.empty();
    return to_json(json::object{{"data", std::move(list)},
                                {"has_more", page.has_more},
                                {"first_id", or_null(some ? page.cards.front().id : "")},
                                {"last_id", or_null(some ? page.cards.back().id : "")}});
}

Result<ModelPage> page_of(std::span<const ModelCard> all, std::string_view after, std::string_view before,
                          std::size_t limit) {
    const auto place_of = [all](std::string_view name) { return std::ranges::find(all, name, &ModelCard::id); };
    if (!after.empty()) {
        const auto found = place_of(after);
        if (found == all.end()) return fail(ErrorCode::kInvalidArgument, "after_id is no model's", "after_id");
        all = all.subspan(static_cast<std::size_t>(found - all.begin()) + 1);
    }
    if (!before.empty()) {
        const auto found = place_of(before);
        if (found == all.end()) return fail(ErrorCode::kInvalidArgument, "before_id is no model's", "before_id");
        all = all.first(static_cast<std::size_t>(found - all.begin()));
    }
    const bool has_more = all.size() > limit;
    if (!has_more) return ModelPage{all, false};
    return ModelPage{before.empty() ? all.first(limit) : all.last(limit), true};
}

}  // namespace sutazai::api::anthropic
