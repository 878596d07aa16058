// The description of the API and the parsers are held against each other: fields, types and limits.
#include "api/openapi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "api/anthropic.h"
#include "api/batch.h"
#include "api/cache_manage.h"
#include "api/json.h"
#include "api/llama_completion.h"
#include "api/llama_server.h"
#include "api/ollama.h"
#include "api/ollama_create.h"
#include "api/ollama_embeddings.h"
#include "api/ollama_models.h"
#include "api/ollama_progress.h"
#include "api/openai.h"
#include "api/openai_batches.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "api/rerank.h"
#include "api/responses.h"
#include "api/streaming_v1.h"
#include "base/json_text.h"

namespace sutazai::api {
namespace {

namespace json = boost::json;

/// What is wrong with a body.
using Parse = std::function<std::optional<Error>(std::string_view)>;

template <typename Function>
Parse errors_of(Function parse) {
    return [parse](std::string_view body) -> std::optional<Error> {
        auto result = parse(body);
        if (result) return std::nullopt;
        return result.error();
    };
}

template <typename Function>
Parse limited(Function parse) {
    return errors_of([parse](std::string_view body) { return parse(body, 100); });
}

/// A batch tells of each request by itself.
std::optional<Error> error_of_batch(std::string_view body) {
    auto parsed = batch::parse(body, 100);
    if (!parsed) return parsed.error();
    for (const auto& item : parsed->items) {
        if (!item) return item.error();
    }
    return std::nullopt;
}

const std::map<std::string, Parse> kParsers{
    {"post /api/chat", errors_of(ollama::parse_chat)},
    {"post /api/copy", errors_of(ollama::parse_copy)},
    {"post /api/create", errors_of(ollama::parse_create)},
    {"delete /api/delete", errors_of(ollama::parse_delete)},
    {"post /api/embed", limited(ollama::parse_embed)},
    {"post /api/embeddings", errors_of(ollama::parse_embeddings)},
    {"post /api/generate", errors_of(ollama::parse_generate)},
    {"post /api/pull", errors_of(ollama::parse_transfer)},
    {"post /api/push", errors_of(ollama::parse_transfer)},
    {"post /api/show", errors_of(ollama::parse_show)},
    {"post /api/v1/streaming/batch/process", error_of_batch},
    {"post /api/v1/streaming/cache/manage", errors_of(parse_cache_command)},
    {"post /api/v1/streaming/chat/stream", errors_of(streaming_v1::parse_chat)},
    {"post /apply-template", errors_of(llama_server::parse_apply_template)},
    {"post /completion", limited(llama_server::parse_completion)},
    {"post /detokenize", errors_of(llama_server::parse_detokenize)},
    {"post /infill", errors_of(llama_server::parse_infill)},
    {"post /tokenize", errors_of(llama_server::parse_tokenize)},
    {"post /v1/batches", errors_of(openai::parse_batch_order)},
    {"post /v1/chat/completions", errors_of(openai::parse_chat)},
    {"post /v1/completions", limited(openai::parse_completion)},
    {"post /v1/embeddings", limited(openai::parse_embeddings)},
    {"post /v1/messages", errors_of(anthropic::parse_messages)},
    {"post /v1/messages/count_tokens", errors_of(anthropic::parse_count)},
    {"post /v1/rerank", limited(rerank::parse)},
    {"post /v1/responses", errors_of(responses::parse_create)},
    {"post /v1/responses/input_tokens", errors_of(responses::parse_create)},
};

/// What the description says of one field.
struct Described {
    std::set<std::string> types = {};  ///< of it, or of its alternatives
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    bool above_min = false;
    bool idle = false;  ///< taken, whatever it is
};

class Description {
  public:
    explicit Description(std::string_view text) : root_(json::parse(text).get_object()) {}

    [[nodiscard]] const json::object& root() const { return root_; }

    /// All fields of a schema, by paths such as "messages[].content[].text".
    [[nodiscard]] std::map<std::string, Described> fields_of(const json::object& schema) const {
        std::map<std::string, Described> out;
        add_properties(schema, "", out);
        return out;
    }

  private:
    [[nodiscard]] const json::object& followed(const json::object& schema) const {
        const json::value* const ref = schema.if_contains("$ref");
        if (ref == nullptr) return schema;
        return root_.at("components").at("schemas").at(ref->as_string().subview(21)).as_object();
    }

    /// `path` leads to what has this schema.
    void add_properties(const json::object& schema, const std::string& path,
                        std::map<std::string, Described>& out) const {
        const json::object& own = followed(schema);
        if (const auto* alternatives = own.if_contains("anyOf")) {
            for (const json::value& one : alternatives->as_array()) add_properties(one.as_object(), path, out);
        }
        if (const auto* items = own.if_contains("items")) add_properties(items->as_object(), path + "[]", out);
        const auto* properties = own.if_contains("properties");
        if (properties == nullptr) return;
        if (path != "chat_template_kwargs" && path != "requests[].chat_template_kwargs") {
            EXPECT_EQ(own.at("additionalProperties"), false) << path;
        }
        for (const auto& [name, value] : properties->as_object()) {
            const std::string place = path.empty() ? std::string(name) : fmt::format("{}.{}", path, std::string(name));
            add_field(followed(value.as_object()), out[place]);
            add_properties(value.as_object(), place, out);
        }
    }

    void add_field(const json::object& schema, Described& out) const {
        if (const auto* alternatives = schema.if_contains("anyOf")) {
            for (const json::value& one : alternatives->as_array()) add_field(followed(one.as_object()), out);
            return;
        }
        if (const auto* type = schema.if_contains("type")) {
            if (type->is_string()) out.types.insert(std::string(type->as_string()));
            if (const auto* all = type->if_array()) {
                for (const json::value& one : *all) out.types.insert(std::string(one.as_string()));
            }
            out.types.erase("null");  // that is every field's to be
            if (type->is_string() && type->as_string() == "null") return;
        }
        out.idle = out.types.empty() && !schema.contains("enum");
        out.above_min = schema.contains("exclusiveMinimum");
        const json::value* const least = schema.if_contains(out.above_min ? "exclusiveMinimum" : "minimum");
        if (least != nullptr) out.min = least->to_number<double>();
        if (const auto* most = schema.if_contains("maximum")) out.max = most->to_number<double>();
    }

    json::object root_;
};

/// What FieldReader cannot know of a field whose value the parser looks at first.
void expect_same(const std::string& place, const FieldNote& read, const Described& said) {
    if (read.type.empty()) return;
    EXPECT_TRUE(said.idle || said.types.contains(read.type)) << place << " is read as " << read.type;
    if (read.type != "number" && read.type != "integer") return;
    if (said.idle || said.max == 0) return;  // only what asks for nothing
    EXPECT_EQ(said.min, read.min) << place;
    EXPECT_EQ(said.max, read.max) << place;
    EXPECT_EQ(said.above_min, read.above_min) << place;
}

/// Puts a number where `path` leads to. False when there is no object that could have it.
bool put(json::value& at, std::string_view path) {
    if (!at.is_object()) return false;
    const std::size_t dot = path.find('.');
    std::string_view step = path.substr(0, dot);
    if (dot == std::string_view::npos) {
        at.as_object()[step] = 1;
        return true;
    }
    const bool is_list = step.ends_with("[]");
    if (is_list) step.remove_suffix(2);
    json::value* const next = at.as_object().if_contains(step);
    if (next == nullptr) return false;
    if (!is_list) return put(*next, path.substr(dot + 1));
    if (!next->is_array()) return false;
    return std::ranges::any_of(next->as_array(), [&](json::value& one) { return put(one, path.substr(dot + 1)); });
}

/// Fields that change nothing need not be looked for: then they are just taken.
bool is_passed_over(const Parse& parse, const json::object& examples, const std::string& place) {
    return std::ranges::any_of(examples, [&](const auto& example) {
        json::value body = example.value().at("value");
        return put(body, place) && !parse(to_json(body));
    });
}

TEST(OpenApi, SaysWhatTheParsersTake) {
    const Description description(openapi_json());
    std::set<std::string> seen;
    for (const auto& [path, methods] : description.root().at("paths").as_object()) {
        for (const auto& [method, operation] : methods.as_object()) {
            const std::string name = fmt::format("{} {}", std::string(method), std::string(path));
            const auto* body = operation.as_object().if_contains("requestBody");
            if (body == nullptr || operation.as_object().contains("x-same-as")) continue;
            const auto* content = body->at("content").as_object().if_contains("application/json");
            if (content == nullptr) continue;
            SCOPED_TRACE(name);
            ASSERT_TRUE(kParsers.contains(name)) << "there is no parser for it in this test";
            seen.insert(name);
            const Parse& parse = kParsers.at(name);

            FieldRecorder recorder;
            const json::object& examples = content->at("examples").as_object();
            for (const auto& [_, example] : examples) {
                const auto error = parse(to_json(example.at("value")));
                EXPECT_FALSE(error) << error->message;
            }
            const std::map<std::string, FieldNote> read = recorder.fields();
            const std::map<std::string, Described> said = description.fields_of(content->at("schema").as_object());
            for (const auto& [place, note] : read) {
                const auto found = said.find(place);
                if (found == said.end()) {
                    ADD_FAILURE() << place << " is read and not described";
                } else {
                    expect_same(place, note, found->second);
                }
            }
            for (const auto& [place, field] : said) {
                if (read.contains(place)) continue;
                EXPECT_TRUE(field.idle && is_passed_over(parse, examples, place))
                    << place << " is described and not read";
            }
        }
    }
    EXPECT_EQ(seen.size(), kParsers.size()) << "a parser's route is not described";
}

}  // namespace
}  // namespace sutazai::api
