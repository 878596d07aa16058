#include "api/openai_embeddings.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <utility>

#include "api/unsupported.h"
#include "api/vectors.h"
#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

std::vector<GenerationRequest> EmbeddingsRequest::generations() const {
    std::vector<GenerationRequest> all;
    all.reserve(inputs.size());
    for (const PromptItem& input : inputs) {
        GenerationRequest& one = all.emplace_back();
        std::visit([&](const auto& item) { one.prompt = item; }, input);
        one.task = Task::kEmbed;
        one.priority = priority;
        one.truncate = truncate;
    }
    return all;
}

Result<EmbeddingsRequest> parse_embeddings(std::string_view body, std::size_t max_inputs) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    EmbeddingsRequest request;
    fields.string("model", request.model);
    request.inputs = read_prompts(fields, "input", max_inputs);
    std::string format = "float";
    fields.string("encoding_format", format);
    if (format != "float" && format != "base64") fields.refuse("encoding_format", "must be float or base64");
    request.base64 = format == "base64";
    if (fields.find("dimensions") != nullptr) {
        int dimensions = 1;
        fields.integer("dimensions", 1, 65536, dimensions);
        request.dimensions = static_cast<std::size_t>(dimensions);
    }
    fields.integer("priority", -1000, 1000, request.priority);
    read_keep_alive(fields, request.keep_alive);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

std::string encode_embeddings(std::string_view model, std::span<const std::vector<float>> embeddings, bool base64,
                              std::size_t prompt_tokens) {
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
        out += i == 0 ? R"({"object":"embedding","index":)" : R"(,{"object":"embedding","index":)";
        append_number(out, i);
        out += R"(,"embedding":)";
        if (base64) {
            append_base64(out, embeddings[i]);
        } else {
            append_vector(out, embeddings[i]);
        }
        out += '}';
    }
    out += R"(],"model":)";
    append_quoted(out, model);
    out += R"(,"usage":)";
    append_json(out, json::object{{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}});
    out += '}';
    return out;
}

}  // namespace sutazai::api::openai
