#include "api/openai_embeddings.h"

#include <fmt/format.h>

#include <bit>
#include <boost/json/object.hpp>
#include <cmath>
#include <utility>

#include "api/unsupported.h"
#include "base/digest.h"
#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

void append_vector(std::string& out, std::span<const float> numbers, bool base64) {
    if (base64) {
        static_assert(std::endian::native == std::endian::little, "the format is little-endian");
        append_quoted(out, to_base64(std::as_bytes(numbers)));
        return;
    }
    char before = '[';
    for (const float number : numbers) {
        out += std::exchange(before, ',');
        fmt::format_to(std::back_inserter(out), "{}", number);
    }
    out += before == '[' ? "[]" : "]";
}

}  // namespace

std::vector<GenerationRequest> EmbeddingsRequest::generations() const {
    std::vector<GenerationRequest> all;
    all.reserve(inputs.size());
    for (const PromptItem& input : inputs) {
        GenerationRequest& one = all.emplace_back();
        std::visit([&](const auto& item) { one.prompt = item; }, input);
        one.task = Task::kEmbed;
        one.priority = priority;
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

Result<void> shorten(std::vector<float>& embedding, std::size_t dimensions) {
    if (dimensions == 0 || dimensions == embedding.size()) return {};
    if (dimensions > embedding.size()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("dimensions must be at most {}, which is what this model makes (got {})",
                                embedding.size(), dimensions),
                    "dimensions");
    }
    embedding.resize(dimensions);
    double square = 0;
    for (const float value : embedding) square += static_cast<double>(value) * static_cast<double>(value);
    const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
    for (float& value : embedding) value = static_cast<float>(static_cast<double>(value) * scale);
    return {};
}

std::string encode_embeddings(std::string_view model, std::span<const std::vector<float>> embeddings, bool base64,
                              std::size_t prompt_tokens) {
    // Numbers are written as they are: a vector of 1024 takes 0.2 ms so, and 0.7 ms as values.
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
        out += i == 0 ? R"({"object":"embedding","index":)" : R"(,{"object":"embedding","index":)";
        append_number(out, i);
        out += R"(,"embedding":)";
        append_vector(out, embeddings[i], base64);
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
