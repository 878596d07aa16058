#include "api/rerank.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <numeric>
#include <utility>

#include "api/chat_fields.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::rerank {

namespace json = boost::json;

namespace {

/// A text, or an object that has one.
void add_document(FieldReader& fields, const std::string& place, const json::value& value,
                  std::vector<std::string>& out) {
    std::string text;
    if (value.is_string()) {
        text = std::string_view(value.get_string());
    } else if (value.is_object()) {
        FieldReader inner(value.get_object(), fields.error(), fields.path_of(place) + ".");
        if (inner.find("text") == nullptr) inner.refuse("text", "is missing");
        inner.string("text", text);
        refuse_unknown(inner);
    } else {
        fields.refuse(place, fmt::format("must be a string, or an object with a text (got {})", kind_of(value)));
    }
    out.push_back(std::move(text));
}

void read_documents(FieldReader& fields, std::size_t most, Request& out) {
    out.is_tei = fields.find("documents") == nullptr && fields.find("texts") != nullptr;
    const char* name = out.is_tei ? "texts" : "documents";
    const json::value* value = fields.find(name);
    if (value == nullptr) return fields.refuse(name, "is missing");
    if (!value->is_array()) return fields.refuse(name, fmt::format("must be a list (got {})", kind_of(*value)));
    const json::array& list = value->get_array();
    if (list.empty() || list.size() > most) {
        return fields.refuse(name, fmt::format("must hold 1 to {} entries (got {})", most, list.size()));
    }
    out.documents.reserve(list.size());
    for (std::size_t i = 0; i < list.size() && !fields.failed(); ++i) {
        add_document(fields, fmt::format("{}[{}]", name, i), list[i], out.documents);
    }
}

}  // namespace

std::vector<GenerationRequest> Request::generations() const {
    std::vector<GenerationRequest> all;
    all.reserve(documents.size());
    for (const std::string& document : documents) {
        GenerationRequest& one = all.emplace_back();
        one.task = Task::kRank;
        one.prompt = RankedPair{query, document};
        one.priority = priority;
    }
    return all;
}

Result<Request> parse(std::string_view body, std::size_t max_documents) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    Request request;
    fields.string("model", request.model);
    if (fields.find("query") == nullptr) fields.refuse("query", "is missing");
    fields.string("query", request.query);
    read_documents(fields, max_documents, request);
    std::int64_t top_n = static_cast<std::int64_t>(request.documents.size());
    fields.integer("top_n", 1, std::numeric_limits<int>::max(), top_n);
    request.top_n = std::min(request.documents.size(), static_cast<std::size_t>(std::max<std::int64_t>(top_n, 0)));
    fields.boolean(request.is_tei ? "return_text" : "return_documents", request.returns_documents);
    fields.integer("priority", -1000, 1000, request.priority);
    read_keep_alive(fields, request.keep_alive);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return request;
}

std::string encode(const Request& request, std::string_view model, std::span<const float> scores,
                   std::size_t prompt_tokens) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t index) { return scores[index]; });
    order.resize(std::min(order.size(), request.top_n));
    json::array results;
    for (const std::size_t index : order) {
        json::object result{{"index", index}};
        result[request.is_tei ? "score" : "relevance_score"] = as_written(scores[index]);
        const std::string& document = request.documents.at(index);
        if (request.returns_documents && request.is_tei) result["text"] = document;
        if (request.returns_documents && !request.is_tei) result["document"] = {{"text", document}};
        results.push_back(std::move(result));
    }
    if (request.is_tei) return to_json(results);
    return to_json(json::object{{"model", model},
                                {"object", "list"},
                                {"usage", {{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}}},
                                {"results", std::move(results)}});
}

}  // namespace sutazai::api::rerank
