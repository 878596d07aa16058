#include "api/response_events.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <utility>

#include "api/answer_parts.h"
#include "api/error_names.h"
#include "api/logprobs_json.h"
#include "api/response_items.h"
#include "base/json_text.h"

namespace sutazai::api::responses {

namespace json = boost::json;

namespace {

/// OpenAI knows few codes of a response's error; what is the request's fault is of one of them.
const char* error_code(const Error& error) {
    switch (error.code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kContextOverflow: return "invalid_prompt";
        case ErrorCode::kQueueFull: return "rate_limit_exceeded";
        default: return "server_error";
    }
}

std::string scores_text(std::span<const TokenScore> scores) {
    const json::object all = chat_logprobs(scores);
    std::string out = to_json(all.at("content"));
    return out.substr(1, out.size() - 2);
}

void append_usage(std::string& out, const Usage& usage) {
    append_json(out, json::object{{"input_tokens", usage.prompt_tokens},
                                  {"input_tokens_details",
                                   {{"cached_tokens", usage.cached_tokens},
                                    {"cache_write_tokens", usage.prompt_tokens - usage.cached_tokens}}},
                                  {"output_tokens", usage.completion_tokens},
                                  {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
                                  {"total_tokens", std::uint64_t{usage.prompt_tokens} + usage.completion_tokens}});
}

}  // namespace

const char* to_string(Status status) {
    switch (status) {
        case Status::kQueued: return "queued";
        case Status::kInProgress: return "in_progress";
        case Status::kCompleted: return "completed";
        case Status::kIncomplete: return "incomplete";
        case Status::kFailed: return "failed";
        case Status::kCancelled: return "cancelled";
    }
    return "failed";
}

AnswerEvents::AnswerEvents(AnswerHead head) : head_(std::move(head)) {
    const std::string echo = to_json(head_.echo);
    if (echo.size() > 2) echo_ = "," + echo.substr(1, echo.size() - 2);
    head_.echo = {};
}

void AnswerEvents::event(std::string& out, std::string_view type) {
    out += "event: ";
    out += type;
    out += "\ndata: {\"type\":\"";
    out += type;
    out += "\",\"sequence_number\":";
    append_number(out, n_events_++);
    out += ',';
}

void AnswerEvents::state_event(std::string& out, std::string_view type) {
    event(out, type);
    out += "\"response\":";
    out += object();
    out += "}\n\n";
}

void AnswerEvents::queue(std::string& out) {
    state_event(out, "response.created");
    state_event(out, "response.queued");
}

void AnswerEvents::start(std::string& out) {
    if (head_.background && n_events_ == 0) queue(out);
    status_ = Status::kInProgress;
    if (n_events_ == 0) state_event(out, "response.created");
    state_event(out, "response.in_progress");
}

void AnswerEvents::part(std::string& out, std::string_view text) const {
    if (open_ == Open::kReasoning) {
        out += R"({"type":"reasoning_text","text":")";
        out += text;
        out += "\"}";
        return;
    }
    out += R"({"type":"output_text","annotations":[],"logprobs":[)";
    if (!text.empty()) out += scores_;
    out += R"(],"text":")";
    out += text;
    out += "\"}";
}

void AnswerEvents::item(std::string& out, std::string_view status) const {
    const bool begun = status == "in_progress";
    out += R"({"id":")";
    out += id_;
    switch (open_) {
        case Open::kReasoning:
            out += R"(","type":"reasoning","summary":[],"content":[)";
            if (!begun) part(out, text_);
            out += ']';
            if (head_.carries_thoughts) {
                out += R"(,"encrypted_content":")";
                if (!begun) {
                    out += kCarriedThoughts;
                    out += text_;
                }
                out += '"';
            }
            out += R"(,"status":")";
            out += status;
            break;
        case Open::kCall:
            out += R"(","type":"function_call","status":")";
            out += status;
            out += R"(","arguments":")";
            out += text_;
            out += R"(","call_id":)";
            append_quoted(out, call_.id);
            out += R"(,"name":")";
            append_escaped(out, call_.name);
            break;
        case Open::kMessage:
        case Open::kNothing:
            out += R"(","type":"message","status":")";
            out += status;
            out += R"(","content":[)";
            if (!begun) part(out, text_);
            out += R"(],"role":"assistant)";
            break;
    }
    out += "\"}";
}

void AnswerEvents::open(std::string& out, Open what) {
    if (open_ == what && what != Open::kCall) return;
    close(out, true);
    open_ = what;
    text_.clear();
    scores_.clear();
    has_answer_ = has_answer_ || what != Open::kReasoning;
    const char* prefix = what == Open::kReasoning ? "rs" : what == Open::kCall ? "fc" : "msg";
    id_ = item_id(prefix, head_.id, kFirstOutput + items_.size());
    event(out, "response.output_item.added");
    out += fmt::format("\"output_index\":{},\"item\":", items_.size());
    item(out, "in_progress");
    out += "}\n\n";

    place_ = fmt::format(R"("item_id":"{}","output_index":{},)", id_, items_.size());
    const char* type = "response.function_call_arguments.delta";
    delta_tail_ = "," + place_;
    if (what != Open::kCall) {
        type = what == Open::kReasoning ? "response.reasoning_text.delta" : "response.output_text.delta";
        place_ += R"("content_index":0,)";
        delta_tail_ = "," + place_;
        event(out, "response.content_part.added");
        out += place_;
        out += "\"part\":";
        part(out, "");
        out += "}\n\n";
    }
    delta_tail_ += R"("delta":")";
    delta_head_ = fmt::format("event: {}\ndata: {{\"type\":\"{}\",\"sequence_number\":", type, type);
}

void AnswerEvents::open_call(std::string& out, const ToolCallDelta& call) {
    close(out, true);  // before the call has other words
    call_ = {call.index, call.id, call.name, {}};
    open(out, Open::kCall);
}

void AnswerEvents::delta(std::string& out, std::string_view text, std::span<const TokenScore> scores) {
    out += delta_head_;
    append_number(out, n_events_++);
    out += delta_tail_;
    const std::size_t begin = out.size();
    append_escaped(out, text);
    text_.append(out, begin);
    if (open_ != Open::kMessage) {
        out += "\"}\n\n";
        return;
    }
    out += R"(","logprobs":[)";
    if (!scores.empty()) {
        const std::string more = scores_text(scores);
        out += more;
        if (!scores_.empty()) scores_ += ',';
        scores_ += more;
    }
    out += "]}\n\n";
}

void AnswerEvents::close_part(std::string& out) {
    if (open_ == Open::kCall) {
        event(out, "response.function_call_arguments.done");
        out += place_;
        out += R"("arguments":")";
        out += text_;
        out += R"(","name":")";
        append_escaped(out, call_.name);
        out += "\"}\n\n";
        return;
    }
    event(out, open_ == Open::kReasoning ? "response.reasoning_text.done" : "response.output_text.done");
    out += place_;
    out += R"("text":")";
    out += text_;
    out += '"';
    if (open_ == Open::kMessage) {
        out += R"(,"logprobs":[)";
        out += scores_;
        out += ']';
    }
    out += "}\n\n";
    event(out, "response.content_part.done");
    out += place_;
    out += "\"part\":";
    part(out, text_);
    out += "}\n\n";
}

void AnswerEvents::close(std::string& out, bool whole) {
    if (open_ == Open::kNothing) return;
    close_part(out);
    std::string done;
    item(done, whole ? "completed" : "incomplete");
    event(out, "response.output_item.done");
    out += fmt::format("\"output_index\":{},\"item\":", items_.size());
    out += done;
    out += "}\n\n";
    items_.push_back(std::move(done));
    open_ = Open::kNothing;
}

void AnswerEvents::finish(std::string& out, const Finished& finished) {
    usage_ = finished.usage;
    const bool whole = finished.reason != FinishReason::kLength && finished.reason != FinishReason::kCancelled;
    // Clients look for a message where there is no call.
    if (whole && !has_answer_) open(out, Open::kMessage);
    close(out, whole);
    status_ = whole                                      ? Status::kCompleted
              : finished.reason == FinishReason::kLength ? Status::kIncomplete
                                                         : Status::kCancelled;
}

void AnswerEvents::update(std::string& out, const GenerationUpdate& update) {
    if (!update.delta.reasoning.empty()) {
        open(out, Open::kReasoning);
        delta(out, update.delta.reasoning, {});
    }
    if (!update.delta.content.empty() || !update.scores.empty()) {
        // Scores of a call's tokens have no place of their own.
        const bool of_text = !update.delta.content.empty();
        if (of_text) {
            open(out, Open::kMessage);
            delta(out, update.delta.content, update.scores);
        }
    }
    for (const ToolCallDelta& call : update.delta.tool_calls) {
        if (open_ != Open::kCall || call_.index != call.index) {
            if (call.name.empty()) {
                // Another server's: what has been told of a call is told as whole.
                error_ = Error{ErrorCode::kUpstreamFailed, "The calls of this answer came in pieces that are mixed."};
                continue;
            }
            open_call(out, call);
        }
        if (!call.arguments.empty()) delta(out, call.arguments, {});
    }
    if (update.error) return cut(out, Status::kFailed, update.error);
    if (!update.finished) return;
    if (error_) {
        usage_ = update.finished->usage;
        return cut(out, Status::kFailed, std::exchange(error_, {}));
    }
    finish(out, *update.finished);
}

void AnswerEvents::cut(std::string& out, Status status, std::optional<Error> error) {
    close(out, false);
    status_ = status;
    error_ = std::move(error);
}

void AnswerEvents::end(std::string& out) {
    switch (status_) {
        case Status::kCompleted: return state_event(out, "response.completed");
        case Status::kIncomplete: return state_event(out, "response.incomplete");
        default: break;
    }
    if (error_) {
        append_interruption(out, n_events_++, *error_);
    }
    state_event(out, "response.failed");
}

void AnswerEvents::set(const Choice& choice) {
    std::string untold;
    status_ = Status::kInProgress;
    GenerationUpdate all;
    all.delta = choice.answer;
    all.scores = choice.scores;
    all.finished = choice.finished;
    update(untold, all);
}

std::string AnswerEvents::object() const {
    std::string out = R"({"id":")";
    out += head_.id;
    out += fmt::format(R"(","object":"response","created_at":{},"status":"{}","background":{},"completed_at":)",
                       head_.created_unix_s, to_string(status_), head_.background);
    out += status_ == Status::kCompleted ? fmt::to_string(completed_unix_s) : "null";
    out += R"(,"error":)";
    if (error_ && status_ == Status::kFailed) {
        out += fmt::format(R"({{"code":"{}","message":)", error_code(*error_));
        append_quoted(out, error_->message);
        out += '}';
    } else {
        out += "null";
    }
    out += R"(,"incomplete_details":)";
    out += status_ == Status::kIncomplete ? R"({"reason":"max_output_tokens"})" : "null";
    out += echo_;
    out += R"(,"model":)";
    append_quoted(out, head_.model);
    out += R"(,"output":[)";
    for (std::size_t i = 0; i < items_.size(); ++i) {
        if (i > 0) out += ',';
        out += items_[i];
    }
    out += R"(],"store":)";
    out += stored ? "true" : "false";
    out += R"(,"usage":)";
    if (usage_) {
        append_usage(out, *usage_);
    } else {
        out += "null";
    }
    out += '}';
    return out;
}

void append_interruption(std::string& out, std::uint64_t sequence_number, const Error& error) {
    out += "event: error\ndata: {\"type\":\"error\",\"sequence_number\":";
    append_number(out, sequence_number);
    out += R"(,"code":")";
    out += code_name(error.code);
    out += R"(","message":)";
    append_quoted(out, error.message);
    out += R"(,"param":)";
    append_json(out, or_null(error.field));
    out += "}\n\n";
}

std::string_view events_from(std::string_view events, std::uint64_t first) {
    for (std::uint64_t i = 0; i < first && !events.empty(); ++i) {
        const std::size_t end = events.find("\n\n");
        events.remove_prefix(end == std::string_view::npos ? events.size() : end + 2);
    }
    return events;
}

}  // namespace sutazai::api::responses
