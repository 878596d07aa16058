#include "api/ollama_embeddings.h"

#include <boost/json/object.hpp>
#include <optional>
#include <utility>

#include "api/ollama.h"
#include "api/unsupported.h"
#include "api/vectors.h"
#include "base/json_text.h"

namespace sutazai::api::ollama {

namespace json = boost::json;

namespace {

void read_shared(FieldReader& fields, const char* input, std::size_t max_inputs, openai::EmbeddingsRequest& out) {
    fields.string("model", out.model);
    if (!is_absent(fields.find(input))) out.inputs = openai::read_prompts(fields, input, max_inputs);
    read_keep_alive(fields, out.keep_alive);
    read_load_options(fields);
}

}  // namespace

Result<openai::EmbeddingsRequest> parse_embed(std::string_view body, std::size_t max_inputs) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    openai::EmbeddingsRequest request;
    read_shared(fields, "input", max_inputs, request);
    fields.boolean("truncate", request.truncate);
    int dimensions = 0;
    fields.integer("dimensions", 0, 65536, dimensions);
    request.dimensions = static_cast<std::size_t>(dimensions);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

Result<openai::EmbeddingsRequest> parse_embeddings(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    openai::EmbeddingsRequest request;
    const json::value* prompt = fields.find("prompt");
    if (prompt != nullptr && !prompt->is_string()) {
        fields.refuse("prompt", std::string("must be a string (got ") + kind_of(*prompt) + ")");
    }
    read_shared(fields, "prompt", 1, request);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

std::string encode_embed(std::string_view model, std::span<const std::vector<float>> embeddings,
                         std::size_t prompt_tokens, const Durations& durations) {
    std::string out = R"({"model":)";
    append_quoted(out, model);
    out += R"(,"embeddings":[)";
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
        if (i > 0) out += ',';
        append_vector(out, embeddings[i]);
    }
    out += "],";
    const std::string rest = to_json(json::object{{"total_duration", durations.total.count()},
                                                  {"load_duration", durations.load.count()},
                                                  {"prompt_eval_count", prompt_tokens}});
    out += std::string_view(rest).substr(1);
    return out;
}

std::string encode_embedding(std::span<const float> embedding) {
    std::string out = R"({"embedding":)";
    append_vector(out, embedding);
    out += '}';
    return out;
}

}  // namespace sutazai::api::ollama
