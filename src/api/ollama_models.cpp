#include "api/ollama_models.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <utility>

#include "api/answer_parts.h"
#include "api/ollama.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::ollama {

namespace json = boost::json;

namespace {

json::object details_json(const ModelCard& card) {
    json::object details{{"parent_model", card.parent}, {"format", "gguf"}, {"family", card.family}};
    details["families"] = card.family.empty() ? json::value() : json::value(json::array{json::string(card.family)});
    details["parameter_size"] = card.parameter_size;
    details["quantization_level"] = card.quantization;
    if (card.context_length > 0) details["context_length"] = card.context_length;
    if (card.embedding_length > 0) details["embedding_length"] = card.embedding_length;
    return details;
}

json::array capabilities_json(const ModelCard& card) {
    json::array out;
    for (const std::string& one : card.capabilities) out.push_back(json::string(one));
    return out;
}

json::object card_json(const ModelCard& card) {
    json::object out{{"name", card.name},  {"model", card.name},    {"modified_at", timestamp(card.modified)},
                     {"size", card.bytes}, {"digest", card.digest}, {"details", details_json(card)}};
    if (!card.remote_model.empty()) {
        out["remote_model"] = card.remote_model;
        out["remote_host"] = card.remote_host;
    }
    return out;
}

}  // namespace

std::string encode_tags(std::span<const ModelCard> models) {
    json::array list;
    for (const ModelCard& card : models) {
        json::object one = card_json(card);
        one["capabilities"] = capabilities_json(card);
        list.push_back(std::move(one));
    }
    return to_json(json::object{{"models", std::move(list)}});
}

std::string encode_ps(std::span<const RunningModel> models, std::chrono::system_clock::time_point now) {
    constexpr auto kForEver = std::chrono::years(100);
    json::array list;
    for (const RunningModel& model : models) {
        json::object one = card_json(model.card);
        one.erase("modified_at");
        one["size"] = model.bytes;
        one["expires_at"] = timestamp(model.expires.value_or(now + kForEver));
        one["size_vram"] = model.gpu_bytes;
        one["context_length"] = model.context_tokens;
        list.push_back(std::move(one));
    }
    return to_json(json::object{{"models", std::move(list)}});
}

Result<ShowBody> parse_show(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    ShowBody show;
    read_model_name(fields, show.model);
    fields.boolean("verbose", show.verbose);
    read_load_options(fields);
    // They ask how the model would look with others; older clients send them empty.
    for (const char* name : {"system", "template"}) {
        std::string other;
        fields.string(name, other);
        if (!other.empty()) fields.refuse(name, "is not supported");
    }
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return show;
}

std::string encode_show(const ModelPage& page) {
    json::object out;
    if (!page.license.empty()) out["license"] = page.license;
    out["modelfile"] = page.modelfile;
    if (!page.parameters.empty()) out["parameters"] = page.parameters;
    out["template"] = page.chat_template;
    if (!page.system.empty()) out["system"] = page.system;
    if (!page.messages.empty()) {
        json::array list;
        for (const auto& [role, content] : page.messages) list.push_back({{"role", role}, {"content", content}});
        out["messages"] = std::move(list);
    }
    out["details"] = details_json(page.card);
    out["model_info"] = page.model_info;
    out["capabilities"] = capabilities_json(page.card);
    out["modified_at"] = timestamp(page.card.modified);
    return to_json(out);
}

}  // namespace sutazai::api::ollama
