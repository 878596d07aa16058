#include "api/openai.h"

#include <fmt/format.h>

#include <array>

#include "api/error_names.h"
#include "api/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

bool is_empty(const json::value& value) {
    return (value.is_array() && value.get_array().empty()) || (value.is_object() && value.get_object().empty()) ||
           (value.is_bool() && !value.get_bool()) || (value.is_number() && value.to_number<double>() == 0);
}

void refuse_unsupported(FieldReader& fields) {
    std::int64_t n = 1;
    fields.integer("n", 1, 128, n);
    if (n != 1) fields.refuse("n", fmt::format("other than 1 is not supported (got {})", n));
    constexpr std::array kNotYet{"tools", "functions", "logprobs", "top_logprobs", "logit_bias", "audio"};
    for (const char* name : kNotYet) {
        const json::value* value = fields.find(name);
        if (value != nullptr && !is_empty(*value)) fields.refuse(name, "is not supported");
    }
    if (const json::value* format = fields.find("response_format")) {
        if (!format->is_object()) {
            return fields.refuse("response_format", fmt::format("must be an object (got {})", kind_of(*format)));
        }
        FieldReader inner(format->get_object(), fields.error(), "response_format.");
        std::string type = "text";
        inner.string("type", type);
        if (type != "text") inner.refuse("type", "other than \"text\" is not supported");
    }
}

void read_stream_options(FieldReader& fields, bool& include_usage) {
    const json::value* options = fields.find("stream_options");
    if (options == nullptr) return;
    if (!options->is_object()) {
        return fields.refuse("stream_options", fmt::format("must be an object (got {})", kind_of(*options)));
    }
    FieldReader inner(options->get_object(), fields.error(), "stream_options.");
    inner.boolean("include_usage", include_usage);
}

void append_identity(std::string& out, const Identity& identity, std::string_view object) {
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

Result<OpenAiChatRequest> parse_chat(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    OpenAiChatRequest request;
    read_chat_fields(fields, request);
    fields.integer("max_completion_tokens", 1, std::numeric_limits<int>::max(), request.generation.max_tokens);
    read_stream_options(fields, request.include_usage);
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

ChunkEncoder::ChunkEncoder(const Identity& identity, bool include_usage) : include_usage_(include_usage) {
    head_ = "data: ";
    append_identity(head_, identity, "chat.completion.chunk");
    // OpenAI's streams that will end with usage have "usage": null in every chunk before.
    tail_ = include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
}

void ChunkEncoder::start(std::string& out) const {
    out += head_;
    out += R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})";
    out += tail_;
}

void ChunkEncoder::content(std::string& out, std::string_view text) const {
    out += head_;
    out += R"({"index":0,"delta":{"content":")";
    append_escaped(out, text);
    out += R"("},"logprobs":null,"finish_reason":null})";
    out += tail_;
}

void ChunkEncoder::finish(std::string& out, const Finished& finished) const {
    out += head_;
    out += R"({"index":0,"delta":{},"logprobs":null,"finish_reason":")";
    out += to_string(finished.reason);
    out += "\"}";
    out += tail_;
    if (include_usage_) {
        out += head_;
        out += R"(],"usage":)";
        append_usage(out, finished.usage);
        out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
}

void ChunkEncoder::error(std::string& out, const Error& error) {
    out += "data: ";
    append_error(out, error);
    out += "\n\n";
}

std::string encode_answer(const Identity& identity, std::string_view content, const Finished& finished) {
    std::string out;
    append_identity(out, identity, "chat.completion");
    out += R"({"index":0,"message":{"role":"assistant","content":)";
    append_quoted(out, content);
    out += R"(,"refusal":null},"logprobs":null,"finish_reason":")";
    out += to_string(finished.reason);
    out += R"("}],"usage":)";
    append_usage(out, finished.usage);
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
