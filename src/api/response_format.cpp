#include "api/response_format.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <optional>

#include "api/unsupported.h"
#include "grammar/json_schema.h"

namespace sutazai::api {

namespace json = boost::json;

namespace {

/// On a schema: a few milliseconds.
constexpr std::int64_t kWorkOnServer = 100'000;

/// What is too much in a schema, in words, and where in it.
struct Excess {
    std::string what;
    std::string path = {};  ///< a JSON pointer
};

/// Counts values into `n_values`.
std::optional<Excess> excess_of(const json::value& schema, std::size_t& n_values) {
    if (++n_values > kMaxSchemaValues) return Excess{fmt::format("holds more than {} values", kMaxSchemaValues)};
    const auto inside = [&](const json::value& value, const auto& name) {
        std::optional<Excess> excess = excess_of(value, n_values);
        if (excess) excess->path = fmt::format("/{}{}", name, excess->path);
        return excess;
    };
    if (const auto* list = schema.if_array()) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            if (auto excess = inside((*list)[i], i)) return excess;
        }
    } else if (const auto* object = schema.if_object()) {
        if (object->size() > kMaxSchemaProperties) {
            return Excess{fmt::format("holds an object of more than {} fields", kMaxSchemaProperties)};
        }
        for (const auto& [name, value] : *object) {
            // Compiling a pattern takes a call for each of its parentheses.
            if (name == "pattern" && value.is_string() && value.get_string().size() > kMaxPatternBytes) {
                return Excess{fmt::format("holds a pattern of more than {} bytes", kMaxPatternBytes), "/pattern"};
            }
            if (auto excess = inside(value, std::string_view(name))) return excess;
        }
    } else if (schema.is_double() && !std::isfinite(schema.get_double())) {
        return Excess{"holds a number beyond 1.8e308"};
    }
    return std::nullopt;
}

void read_format(FieldReader& fields, std::string& schema) {
    const json::value* format = fields.find("response_format");
    if (format == nullptr) return;
    if (!format->is_object()) {
        return fields.refuse("response_format", fmt::format("must be an object (got {})", kind_of(*format)));
    }
    FieldReader inner(format->get_object(), fields.error(), fields.path_of("response_format."));
    std::string type = "text";
    inner.string("type", type);
    if (type == "text") {
        schema.clear();
    } else if (type == "json_object") {
        schema = R"({"type":"object"})";
        if (const json::value* own = inner.find("schema")) read_schema(inner, "schema", *own, schema);
    } else if (type == "json_schema") {
        const json::value* wrapper = inner.find("json_schema");
        if (wrapper == nullptr) return inner.refuse("json_schema", "is missing");
        if (!wrapper->is_object()) {
            return inner.refuse("json_schema", fmt::format("must be an object (got {})", kind_of(*wrapper)));
        }
        FieldReader named(wrapper->get_object(), fields.error(), inner.path_of("json_schema."));
        const json::value* own = named.find("schema");
        if (own == nullptr) return named.refuse("schema", "is missing");
        read_schema(named, "schema", *own, schema);
        refuse_unknown(named, {"description", "name", "strict"});
    } else {
        return inner.refuse("type", "must be text, json_object or json_schema");
    }
    refuse_unknown(inner);
}

}  // namespace

void read_schema_text(FieldReader& fields, std::string_view name, const json::value& schema, std::string& out) {
    if (!schema.is_object()) return fields.refuse(name, fmt::format("must be an object (got {})", kind_of(schema)));
    std::size_t n_values = 0;
    if (const auto excess = excess_of(schema, n_values)) {
        return fields.refuse(name, fmt::format("{} at #{}", excess->what, excess->path));
    }
    std::string text = json::serialize(schema);
    if (text.size() > kMaxSchemaBytes) {
        return fields.refuse(name, fmt::format("has {} bytes; at most {} are allowed", text.size(), kMaxSchemaBytes));
    }
    out = std::move(text);
}

void read_schema(FieldReader& fields, std::string_view name, const json::value& schema, std::string& out) {
    std::string text;
    read_schema_text(fields, name, schema, text);
    if (fields.failed()) return;
    // The engine makes the rules again: here they only tell, before anything is queued, whether there are any. Where
    // that takes long it is left to the engine, where it holds up less.
    grammar::Work work{kWorkOnServer};
    const auto rules = grammar::read_json_schema(schema, work);
    if (!rules && !work.is_over()) return fields.refuse(name, rules.error().message);
    out = std::move(text);
}

void read_grammar(FieldReader& fields, GenerationRequest& out) {
    fields.string("grammar", out.grammar);
    if (out.grammar.size() > kMaxGrammarBytes) {
        fields.refuse("grammar",
                      fmt::format("has {} bytes; at most {} are allowed", out.grammar.size(), kMaxGrammarBytes));
    }
}

void read_response_format(FieldReader& fields, GenerationRequest& out) {
    read_format(fields, out.json_schema);
    read_grammar(fields, out);
    if (!out.grammar.empty() && !out.json_schema.empty()) {
        fields.refuse("grammar", "and response_format exclude each other");
    }
}

}  // namespace sutazai::api
