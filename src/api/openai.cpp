#include "api/openai.h"

#include <fmt/format.h>

#include "api/error_names.h"
#include "api/json_text.h"
#include "api/logprobs_json.h"
#include "api/unsupported.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

void read_logprobs(FieldReader& fields, int& top_logprobs) {
    bool wanted = false;
    fields.boolean("logprobs", wanted);
    int top = 0;
    fields.integer("top_logprobs", 0, kMaxTopLogprobs, top);
    if (top > 0 && !wanted) fields.refuse("top_logprobs", "needs \"logprobs\": true");
    if (wanted) top_logprobs = top;
}

void append_error(std::string& out, const Error& error) {
    const bool no_such_model = error.code == ErrorCode::kNotFound && error.field == "model";
    out += R"({"error":{"message":)";
    append_quoted(out, error.message);
    out += R"(,"type":")";
    out += openai_type(error.code);
    out += R"(","param":)";
    if (error.field.empty()) {
        out += "null";
    } else {
        append_quoted(out, error.field);
    }
    out += R"(,"code":")";
    out += no_such_model ? "model_not_found" : code_name(error.code);
    out += "\"}}";
}

void append_model(std::string& out, const ModelCard& card) {
    out += R"({"id":)";
    append_quoted(out, card.id);
    out += R"(,"object":"model","created":)";
    out += fmt::to_string(card.created_unix_s);
    out += R"(,"owned_by":"sutazai"})";
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

void append_head(std::string& out, const Identity& identity, std::string_view object) {
    out += R"({"id":)";
    append_quoted(out, identity.id);
    out += R"(,"object":")";
    out += object;
    out += R"(","created":)";
    out += fmt::to_string(identity.created_unix_s);
    out += R"(,"model":)";
    append_quoted(out, identity.model);
    out += R"(,"choices":[)";
}

void append_error_event(std::string& out, const Error& error) {
    out += "data: ";
    append_error(out, error);
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
    read_stream_options(fields, request.include_usage);
    fields.integer("n", 1, kMaxChoices, request.n);
    read_logprobs(fields, request.generation.top_logprobs);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

ChunkEncoder::ChunkEncoder(const Identity& identity, bool include_usage, bool logprobs)
    : include_usage_(include_usage), logprobs_(logprobs) {
    head_ = "data: ";
    append_head(head_, identity, "chat.completion.chunk");
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

void ChunkEncoder::content(std::string& out, std::size_t index, std::string_view text,
                           std::span<const TokenScore> scores) const {
    out += head_;
    out += R"({"index":)";
    append_number(out, index);
    out += R"(,"delta":{"content":")";
    append_escaped(out, text);
    out += R"("},"logprobs":)";
    if (logprobs_) {
        append_chat_logprobs(out, scores);
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

void ChunkEncoder::end(std::string& out, const Usage& usage) const {
    if (include_usage_) {
        out += head_;
        out += R"(],"usage":)";
        append_usage(out, usage);
        out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
}

std::string encode_answer(const Identity& identity, std::span<const Choice> choices, bool logprobs) {
    std::string out;
    append_head(out, identity, "chat.completion");
    for (std::size_t i = 0; i < choices.size(); ++i) {
        out += i == 0 ? R"({"index":)" : R"(,{"index":)";
        append_number(out, i);
        out += R"(,"message":{"role":"assistant","content":)";
        append_quoted(out, choices[i].text);
        out += R"(,"refusal":null},"logprobs":)";
        if (logprobs) {
            append_chat_logprobs(out, choices[i].scores);
        } else {
            out += "null";
        }
        out += R"(,"finish_reason":")";
        out += to_string(choices[i].finished.reason);
        out += "\"}";
    }
    out += R"(],"usage":)";
    append_usage(out, total_usage(choices, choices.size()));
    out += '}';
    return out;
}

std::string encode_error(const Error& error) {
    std::string out;
    append_error(out, error);
    return out;
}

std::string encode_model(const ModelCard& card) {
    std::string out;
    append_model(out, card);
    return out;
}

std::string encode_models(std::span<const ModelCard> cards) {
    std::string out = R"({"object":"list","data":[)";
    for (const ModelCard& card : cards) {
        if (&card != cards.data()) out += ',';
        append_model(out, card);
    }
    out += "]}";
    return out;
}

}  // namespace sutazai::api::openai
