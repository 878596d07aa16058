#include "api/llama_server.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <utility>

#include "api/chat_fields.h"
#include "api/logprobs_json.h"
#include "api/openai_completions.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::llama_server {

namespace json = boost::json;

namespace {

/// Reads the fields with `read`, and refuses what it left.
template <typename Read>
Result<ReadBody> parse_read(std::string_view body, Read read) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    ReadBody out;
    out.request.task = Task::kRead;
    fields.string("model", out.model);
    read(fields, out.request);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return out;
}

void append_bytes(std::string& out, std::string_view bytes) {
    out += '[';
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i > 0) out += ',';
        append_number(out, static_cast<unsigned char>(bytes[i]));
    }
    out += ']';
}

std::string encode_text(std::string_view name, std::string_view text) {
    std::string out = fmt::format(R"({{"{}":)", name);
    append_quoted(out, text);
    out += '}';
    return out;
}

}  // namespace

Result<ReadBody> parse_tokenize(std::string_view body) {
    return parse_read(body, [](FieldReader& fields, GenerationRequest& request) {
        BareText text;
        if (fields.find("content") == nullptr) fields.refuse("content", "is missing");
        fields.string("content", text.text);
        fields.boolean("add_special", text.around);
        fields.boolean("parse_special", text.special);
        fields.boolean("with_pieces", request.echo);
        request.prompt = std::move(text);
    });
}

Result<ReadBody> parse_detokenize(std::string_view body) {
    return parse_read(body, [](FieldReader& fields, GenerationRequest& request) {
        request.prompt = openai::read_token_ids(fields, "tokens");
    });
}

Result<ReadBody> parse_apply_template(std::string_view body) {
    return parse_read(body,
                      [](FieldReader& fields, GenerationRequest& request) { request.prompt = read_chat(fields); });
}

std::string encode_tokens(std::span<const std::int32_t> tokens) {
    std::string out = R"({"tokens":[)";
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0) out += ',';
        append_number(out, static_cast<std::uint64_t>(tokens[i]));
    }
    out += "]}";
    return out;
}

std::string encode_pieces(std::span<const std::int32_t> tokens, std::span<const std::string> pieces) {
    std::string out = R"({"tokens":[)";
    for (std::size_t i = 0; i < tokens.size() && i < pieces.size(); ++i) {
        out += i > 0 ? R"(,{"id":)" : R"({"id":)";
        append_number(out, static_cast<std::uint64_t>(tokens[i]));
        out += R"(,"piece":)";
        if (is_utf8(pieces[i])) {
            append_quoted(out, pieces[i]);
        } else {
            append_bytes(out, pieces[i]);
        }
        out += '}';
    }
    out += "]}";
    return out;
}

std::string encode_content(std::string_view text) {
    return encode_text("content", text);
}

std::string encode_prompt(std::string_view text) {
    return encode_text("prompt", text);
}

std::string encode_props(const ModelProps& props, std::string_view build) {
    const SamplingParams usual;
    const json::object params{{"n_predict", -1},
                              {"temperature", as_written(usual.temperature)},
                              {"top_k", usual.top_k},
                              {"top_p", as_written(usual.top_p)},
                              {"min_p", as_written(usual.min_p)},
                              {"repeat_penalty", as_written(usual.repeat_penalty)},
                              {"presence_penalty", as_written(usual.presence_penalty)},
                              {"frequency_penalty", as_written(usual.frequency_penalty)}};
    return to_json(json::object{{"default_generation_settings", {{"n_ctx", props.context_tokens}, {"params", params}}},
                                {"total_slots", props.places},
                                {"model_alias", props.model},
                                {"model_path", props.file},
                                {"modalities", {{"vision", props.sees}, {"audio", false}}},
                                {"chat_template", props.chat_template},
                                {"build_info", build},
                                {"is_sleeping", !props.is_warm}});
}

std::string encode_slots(const ModelProps& props) {
    json::array slots;
    for (std::size_t id = 0; id < props.places; ++id) {
        slots.push_back({{"id", id}, {"n_ctx", props.context_tokens}, {"is_processing", id < props.running}});
    }
    return to_json(slots);
}

}  // namespace sutazai::api::llama_server
