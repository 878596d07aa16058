#include "api/ollama_create.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <utility>

#include "api/chat_fields.h"
#include "api/json.h"
#include "api/ollama.h"
#include "api/unsupported.h"
#include "catalog/ollama_parameters.h"
#include "store/quantisations.h"

namespace sutazai::api::ollama {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostFiles = 16;

std::string text_of(const json::value& value) {
    return std::string(std::string_view(value.get_string()));
}

/// Clients leave objects empty too.
bool asks_for_nothing(const json::value* value) {
    return is_absent(value) || (value->is_object() && value->get_object().empty());
}

/// Names of files, and digests of what was sent as blobs.
void read_files(FieldReader& fields, const char* field, const char* no_safetensors,
                std::vector<std::pair<std::string, std::string>>& out) {
    const json::value* value = fields.find(field);
    if (value == nullptr) return;
    if (!value->is_object()) return fields.refuse(field, fmt::format("must be an object (got {})", kind_of(*value)));
    if (value->get_object().size() > kMostFiles) {
        return fields.refuse(field, fmt::format("may be {} at most", kMostFiles));
    }
    for (const auto& [name, digest] : value->get_object()) {
        const std::string_view shown = name;
        if (!digest.is_string()) {
            return fields.refuse(fmt::format("{}.{}", field, shown.substr(0, 80)), "must be a digest, as a string");
        }
        if (shown.ends_with(".safetensors")) return fields.refuse(field, no_safetensors);
        out.emplace_back(std::string(shown), text_of(digest));
    }
}

/// A text or a list of texts.
void read_licenses(FieldReader& fields, std::vector<std::string>& out) {
    const json::value* value = fields.find("license");
    if (is_absent(value)) return;
    if (value->is_string()) {
        out.push_back(text_of(*value));
        return;
    }
    if (!value->is_array()) return fields.refuse("license", "must be a string or a list of strings");
    for (const json::value& one : value->get_array()) {
        if (!one.is_string()) return fields.refuse("license", "must be a string or a list of strings");
        out.push_back(text_of(one));
    }
}

void read_parameters(FieldReader& fields, json::object& out) {
    const json::value* value = fields.find("parameters");
    if (value == nullptr) return;
    if (!value->is_object()) {
        return fields.refuse("parameters", fmt::format("must be an object (got {})", kind_of(*value)));
    }
    for (const auto& [name, given] : value->get_object()) {
        if (given.is_null()) continue;
        auto checked = catalog::check_ollama_parameter(name, given);
        if (!checked) {
            if (!fields.failed()) fields.error() = std::move(checked.error());
            return;
        }
        out[name] = std::move(*checked);
    }
}

void read_messages(FieldReader& fields, store::ModelRecipe& out) {
    const json::value* value = fields.find("messages");
    if (value == nullptr) return;
    if (!value->is_array()) return fields.refuse("messages", fmt::format("must be a list (got {})", kind_of(*value)));
    if (value->get_array().size() > kMaxMessages) {
        return fields.refuse("messages", fmt::format("may be {} at most", kMaxMessages));
    }
    std::size_t index = 0;
    for (const json::value& entry : value->get_array()) {
        const std::string place = fmt::format("messages[{}]", index++);
        if (!entry.is_object()) return fields.refuse(place, fmt::format("must be an object (got {})", kind_of(entry)));
        FieldReader message(entry.get_object(), fields.error(), place + ".");
        std::string role;
        std::string content;
        message.string("role", role);
        message.string("content", content);
        for (const char* name : {"images", "tool_calls"}) {
            if (!is_absent(message.find_unsupported(name))) message.refuse(name, "are not supported yet");
        }
        if (role != "system" && role != "user" && role != "assistant") {
            message.refuse("role", "must be system, user or assistant");
        }
        refuse_unknown(message);
        if (fields.failed()) return;
        out.messages.emplace_back(std::move(role), std::move(content));
    }
}

void read_quantize(FieldReader& fields, std::string& out) {
    std::string wanted;
    fields.string("quantization", wanted);  // its name in older versions
    fields.string("quantize", wanted);
    if (wanted.empty()) return;
    auto known = store::quantisation_named(wanted);
    if (!known) return fields.refuse("quantize", fmt::format("must be one of {}", store::quantisation_names()));
    out = std::move(*known);
}

void refuse_what_is_not_built(FieldReader& fields) {
    for (const auto& [name, why] :
         {std::pair("draft_files", "are not built yet"), std::pair("draft_quantize", "is not built yet"),
          std::pair("renderer", "is not supported: the model's own chat template is used"),
          std::pair("parser", "is not supported: it names code of Ollama's"),
          std::pair("remote_host", "is not built yet"), std::pair("info", "is not supported"),
          std::pair("modelfile", "is not read any more, by Ollama neither; send from, files, parameters and so on"),
          std::pair("path", "is not read any more, by Ollama neither; send files")}) {
        if (!asks_for_nothing(fields.find_unsupported(name))) fields.refuse(name, why);
    }
    std::string version;
    fields.string("requires", version);  // a version of Ollama
}

}  // namespace

Result<CreateBody> parse_create(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    CreateBody out;
    read_model_name(fields, out.model);
    fields.boolean("stream", out.stream);
    fields.string("from", out.recipe.from);
    read_files(fields, "files", "are safetensors; only GGUF can be read", out.recipe.files);
    read_files(fields, "adapters", "are safetensors; llama.cpp's convert_lora_to_gguf.py makes GGUF of them",
               out.recipe.adapters);
    fields.string("template", out.recipe.chat_template);
    fields.string("system", out.recipe.system);
    read_licenses(fields, out.recipe.licenses);
    read_parameters(fields, out.recipe.parameters);
    read_messages(fields, out.recipe);
    read_quantize(fields, out.recipe.quantize);
    refuse_what_is_not_built(fields);
    refuse_unknown(fields);
    if (!error && out.recipe.from.empty() && out.recipe.files.empty()) {
        fields.refuse("from", "is missing, and so are files: neither says what the model is made of");
    }
    if (!out.recipe.from.empty() && !out.recipe.files.empty()) {
        fields.refuse("files", "and from do not go together: the weights come from one of them");
    }
    if (error) return std::unexpected(std::move(*error));
    return out;
}

}  // namespace sutazai::api::ollama
