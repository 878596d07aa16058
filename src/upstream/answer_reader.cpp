#include "upstream/answer_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "base/json_text.h"
#include "upstream/answer_parts.h"
#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostDimensions = 1 << 16;
constexpr std::uint32_t kMostCalls = 1024;
/// The longest tokens that there are, of blanks, have 128.
constexpr std::size_t kMostTokenBytes = 256;
constexpr std::size_t kLeastTextBytes = 64 << 10;
/// Two million tokens of usual length: more than any model's context has room for.
constexpr std::size_t kMostTextBytes = 8 << 20;
constexpr std::size_t kMostScoreBytes = 64 << 20;
constexpr const char* kNoAnswer = "it sent something that is no answer";

std::chrono::microseconds time_in(const json::object& from, std::string_view name) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    const std::chrono::nanoseconds ns(static_cast<std::int64_t>(std::min(count_in(from, name), kMost)));
    return std::chrono::duration_cast<std::chrono::microseconds>(ns);
}

void add_openai_calls(const json::object& delta, Delta& out) {
    const json::array* calls = array_in(delta, "tool_calls");
    if (calls == nullptr) return;
    for (const json::value& entry : *calls) {
        const json::object* call = entry.if_object();
        const json::object* function = call == nullptr ? nullptr : object_in(*call, "function");
        if (function == nullptr || count_in(*call, "index") >= kMostCalls) continue;
        out.tool_calls.push_back({small_count_in(*call, "index"), std::string(text_in(*call, "id")),
                                  std::string(text_in(*function, "name")),
                                  std::string(text_in(*function, "arguments"))});
    }
}

/// Newer servers say "reasoning", DeepSeek's and llama-server "reasoning_content".
std::string_view reasoning_in(const json::object& delta) {
    const std::string_view newer = text_in(delta, "reasoning_content");
    return newer.empty() ? text_in(delta, "reasoning") : newer;
}

/// Older Ollamas give calls no id, and other families have one.
std::string id_of(const ToolCallDelta& call) {
    const std::size_t hash = std::hash<std::string>{}(call.name + call.arguments);
    return fmt::format("call_{:08x}{}", static_cast<std::uint32_t>(hash), call.index);
}

std::size_t bytes_of(const TokenScore& score) {
    std::size_t bytes = sizeof(score) + score.token.piece.size();
    for (const TokenChance& one : score.top) bytes += sizeof(one) + one.piece.size();
    return bytes;
}

/// Of a prompt that is told again.
std::size_t echo_bytes(const GenerationRequest& request) {
    if (!request.echo) return 0;
    if (const auto* text = std::get_if<std::string>(&request.prompt)) return text->size();
    const auto* tokens = std::get_if<std::vector<std::int32_t>>(&request.prompt);
    return tokens == nullptr ? 0 : std::min(tokens->size() * kMostTokenBytes, kMostTextBytes);
}

}  // namespace

AnswerBounds bounds_of(const GenerationRequest& request) {
    AnswerBounds out{.text_bytes = kMostTextBytes};
    if (request.max_tokens >= 0) {
        const std::size_t wanted = static_cast<std::size_t>(request.max_tokens) * kMostTokenBytes;
        out.text_bytes = std::clamp(wanted, kLeastTextBytes, kMostTextBytes);
    }
    out.text_bytes += echo_bytes(request);
    if (request.top_logprobs >= 0) out.score_bytes = kMostScoreBytes;
    return out;
}

Result<void> AnswerReader::take(std::string_view bytes, GenerationUpdate& out) {
    while (!bytes.empty() && !ended_) {
        const auto end = bytes.find('\n');
        const std::string_view piece = bytes.substr(0, end);
        if (line_.size() + piece.size() > kMostLineBytes) {
            return broken(fmt::format("it sent a line of more than {} bytes", kMostLineBytes));
        }
        line_ += piece;
        if (end == std::string_view::npos) return {};
        bytes.remove_prefix(end + 1);
        if (line_.ends_with('\r')) line_.pop_back();
        auto taken = take_line(line_, out);
        line_.clear();
        if (!taken) return taken;
    }
    return {};
}

Result<void> AnswerReader::end(GenerationUpdate& out) {
    if (!line_.empty() && !ended_) {
        if (auto taken = take_line(std::exchange(line_, {}), out); !taken) return taken;
    }
    if (event_ && !ended_) {
        if (auto taken = take_event(std::exchange(event_, {}).value_or(""), out); !taken) return taken;
    }
    if (!ended_ && reason_) finish(out);
    if (!ended_) return broken("its answer ended before it was whole");
    return {};
}

Result<void> AnswerReader::take_line(std::string_view line, GenerationUpdate& out) {
    if (form_ == AnswerForm::kOllamaLines) return line.empty() ? Result<void>() : take_event(line, out);
    if (line.empty()) {
        if (!event_) return {};
        const std::string event = std::exchange(event_, {}).value_or("");
        return take_event(event, out);
    }
    // Comments, and what else events may have.
    if (!line.starts_with("data:")) return {};
    line.remove_prefix(std::string_view("data:").size());
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (!event_) {
        event_ = line;
        return {};
    }
    if (event_->size() + line.size() >= kMostLineBytes) {
        return broken(fmt::format("it sent an event of more than {} bytes", kMostLineBytes));
    }
    *event_ += '\n';
    *event_ += line;
    return {};
}

Result<void> AnswerReader::take_event(std::string_view text, GenerationUpdate& out) {
    if (text == "[DONE]" && form_ != AnswerForm::kOllamaLines) {
        if (!reason_) return broken("its answer ended before it was whole");
        finish(out);
        return {};
    }
    boost::system::error_code no_json;
    const json::value value = json::parse(text, no_json);
    if (no_json || !value.is_object()) return broken(kNoAnswer);
    const json::object& object = value.get_object();
    if (tells_error(object)) return std::unexpected(error_of(object));
    const std::size_t bytes = out.delta.text_bytes();
    const std::size_t scores = out.scores.size();
    auto taken = form_ == AnswerForm::kOllamaLines ? take_ollama(object, out) : take_chunk(object, out);
    auto counted = count(out, bytes, scores);
    return taken ? counted : taken;
}

/// What was added is some tokens, or one as far as can be told.
Result<void> AnswerReader::count(GenerationUpdate& out, std::size_t bytes_before, std::size_t scores_before) {
    const std::size_t n_bytes = out.delta.text_bytes() - bytes_before;
    std::uint32_t n = n_bytes > 0 ? 1 : 0;
    if (out.scores.size() > scores_before) n = static_cast<std::uint32_t>(out.scores.size() - scores_before);
    out.n_tokens += n;
    n_tokens_ += n;
    if (out.finished && !has_usage_) out.finished->usage.completion_tokens = n_tokens_;
    text_bytes_ += n_bytes;
    if (text_bytes_ > bounds_.text_bytes) {
        return broken(
            fmt::format("it goes on past {} bytes, which is more than what was asked for can be", bounds_.text_bytes));
    }
    if (bounds_.score_bytes == 0) {
        out.scores.clear();
        return {};
    }
    for (std::size_t i = scores_before; i < out.scores.size(); ++i) score_bytes_ += bytes_of(out.scores[i]);
    if (score_bytes_ <= bounds_.score_bytes) return {};
    return broken(fmt::format("its log probabilities take more than {} bytes", bounds_.score_bytes));
}

Result<void> AnswerReader::take_chunk(const json::object& chunk, GenerationUpdate& out) {
    if (const json::object* usage = object_in(chunk, "usage")) {
        usage_ = usage_of(*usage);
        has_usage_ = true;
    }
    const json::array* choices = array_in(chunk, "choices");
    if (choices == nullptr) return has_usage_ ? Result<void>() : broken(kNoAnswer);
    for (const json::value& entry : *choices) {
        const json::object* choice = entry.if_object();
        if (choice == nullptr) return broken(kNoAnswer);
        if (count_in(*choice, "index") != 0) continue;
        Delta delta;
        const json::object* logprobs = object_in(*choice, "logprobs");
        if (form_ == AnswerForm::kTextChunks) {
            delta.content = text_in(*choice, "text");
            if (logprobs != nullptr) add_text_scores(*logprobs, out.scores);
        } else if (const json::object* added = object_in(*choice, "delta")) {
            delta.content = text_in(*added, "content");
            delta.reasoning = reasoning_in(*added);
            add_openai_calls(*added, delta);
            const json::array* content = logprobs == nullptr ? nullptr : array_in(*logprobs, "content");
            if (content != nullptr) add_chat_scores(*content, out.scores);
        }
        out.delta.append(std::move(delta));
        if (const std::string_view reason = text_in(*choice, "finish_reason"); !reason.empty()) {
            reason_ = finish_reason_of(reason);
        }
    }
    return {};
}

Result<void> AnswerReader::take_ollama(const json::object& line, GenerationUpdate& out) {
    const json::object* message = object_in(line, "message");
    const json::value* done = line.if_contains("done");
    if (message == nullptr && !line.contains("response") && done == nullptr) return broken(kNoAnswer);
    const json::object& texts = message == nullptr ? line : *message;
    Delta delta;
    delta.content = text_in(texts, message == nullptr ? "response" : "content");
    delta.reasoning = text_in(texts, "thinking");
    if (const json::array* calls = array_in(texts, "tool_calls")) {
        for (const json::value& entry : *calls) {
            const json::object* call = entry.if_object();
            const json::object* function = call == nullptr ? nullptr : object_in(*call, "function");
            if (function == nullptr || n_calls_ >= kMostCalls) continue;
            const json::value* arguments = function->if_contains("arguments");
            ToolCallDelta one{n_calls_++, std::string(text_in(*call, "id")), std::string(text_in(*function, "name")),
                              arguments == nullptr ? "{}" : to_json(*arguments)};
            if (one.id.empty()) one.id = id_of(one);
            delta.tool_calls.push_back(std::move(one));
        }
    }
    out.delta.append(std::move(delta));
    if (const json::array* logprobs = array_in(line, "logprobs")) add_chat_scores(*logprobs, out.scores);
    if (done == nullptr || !done->is_bool() || !done->get_bool()) return {};
    reason_ = n_calls_ > 0 ? FinishReason::kToolCalls : finish_reason_of(text_in(line, "done_reason"));
    has_usage_ = line.contains("eval_count");
    usage_ = {small_count_in(line, "prompt_eval_count"), small_count_in(line, "eval_count")};
    finish(out);
    out.finished->timings = {time_in(line, "load_duration"), time_in(line, "prompt_eval_duration"),
                             time_in(line, "eval_duration")};
    if (const json::array* context = array_in(line, "context")) {
        for (const json::value& token : *context) {
            const auto* id = token.if_int64();
            if (id != nullptr && *id >= 0 && *id <= std::numeric_limits<std::int32_t>::max()) {
                out.finished->tokens.push_back(static_cast<std::int32_t>(*id));
            }
        }
    }
    return {};
}

void AnswerReader::finish(GenerationUpdate& out) {
    ended_ = true;
    Finished finished{.reason = reason_.value_or(FinishReason::kStop), .usage = usage_};
    if (!has_usage_) finished.usage.completion_tokens = n_tokens_;
    out.finished = std::move(finished);
}

Result<GenerationUpdate> read_vectors(AnswerForm form, std::string_view body) {
    boost::system::error_code no_json;
    const json::value value = json::parse(body, no_json);
    const json::object* object = no_json ? nullptr : value.if_object();
    if (object == nullptr) return broken(kNoAnswer);
    if (tells_error(*object)) return std::unexpected(error_of(*object));
    GenerationUpdate out;
    Finished finished;
    const json::array* vector = nullptr;
    if (form == AnswerForm::kOllamaVectors) {
        const json::array* all = array_in(*object, "embeddings");
        vector = all == nullptr || all->size() != 1 ? nullptr : all->front().if_array();
        finished.usage.prompt_tokens = small_count_in(*object, "prompt_eval_count");
    } else {
        const json::array* data = array_in(*object, "data");
        const json::object* first = data == nullptr || data->size() != 1 ? nullptr : data->front().if_object();
        vector = first == nullptr ? nullptr : array_in(*first, "embedding");
        if (const json::object* usage = object_in(*object, "usage")) finished.usage = usage_of(*usage);
    }
    if (vector == nullptr || vector->empty() || vector->size() > kMostDimensions) return broken(kNoAnswer);
    double square = 0;
    out.embedding.reserve(vector->size());
    for (const json::value& number : *vector) {
        if (!number.is_number()) return broken(kNoAnswer);
        out.embedding.push_back(static_cast<float>(number.to_number<double>()));
        square += static_cast<double>(out.embedding.back()) * static_cast<double>(out.embedding.back());
    }
    if (!std::isfinite(square) || square <= 0) return broken("it sent a vector of no length");
    for (float& number : out.embedding) number = static_cast<float>(number / std::sqrt(square));
    out.finished = std::move(finished);
    return out;
}

}  // namespace sutazai::upstream
