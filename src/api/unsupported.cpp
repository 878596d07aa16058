#include "api/unsupported.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <optional>
#include <string>

namespace sutazai::api {

namespace json = boost::json;

namespace {

/// What clients send along that changes no answer: who asks, how it is billed, stored, cached or found again.
constexpr auto kHarmless =
    std::to_array<std::string_view>({"cache_prompt", "id_slot", "metadata", "parallel_tool_calls", "prediction",
                                     "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "request_id",
                                     "safety_identifier", "service_tier", "session_id", "user"});

constexpr std::size_t kMaxShownBytes = 64;  // of a name that somebody made up
constexpr const char* kNotSupported = "is not supported";
constexpr const char* kOnlyInChats = "goes with chats only";
constexpr const char* kOldTools = "is not supported; newer clients have tools";

/// `idle` are the values, beside null, false, 0, "", [] and {}, with which the field asks for nothing.
struct Unsupported {
    std::string_view name;
    const char* what = kNotSupported;
    std::array<std::string_view, 2> idle = {};
};

constexpr auto kUnsupported = std::to_array<Unsupported>({
    {"tools", kOnlyInChats},
    {"tool_choice", kOnlyInChats, {R"("none")", R"("auto")"}},
    {"functions", kOldTools},
    {"function_call", kOldTools, {R"("none")", R"("auto")"}},
    {"audio"},
    {"best_of", kNotSupported, {"1"}},
    {"chat_template_kwargs"},
    {"echo"},
    {"modalities", kNotSupported, {R"(["text"])"}},
    {"n", kNotSupported, {"1"}},
    {"store"},
    {"suffix"},
    {"verbosity", kNotSupported, {R"("medium")"}},
});

bool is_empty(const json::value& value) {
    return (value.is_array() && value.get_array().empty()) || (value.is_object() && value.get_object().empty()) ||
           (value.is_string() && value.get_string().empty()) || (value.is_bool() && !value.get_bool()) ||
           (value.is_number() && value.to_number<double>() == 0);
}

}  // namespace

void refuse_unsupported(FieldReader& fields) {
    for (const Unsupported& field : kUnsupported) {
        if (fields.has_read(field.name)) continue;
        const json::value* value = fields.find_unsupported(field.name);
        if (value == nullptr || is_empty(*value)) continue;
        if (std::ranges::find(field.idle, json::serialize(*value)) == field.idle.end()) {
            return fields.refuse(field.name, field.what);
        }
    }
    refuse_unknown(fields);
}

void refuse_unknown(FieldReader& fields, std::initializer_list<std::string_view> harmless) {
    std::optional<std::string> unknown = fields.first_unread([&](std::string_view name) {
        return std::ranges::find(kHarmless, name) != kHarmless.end() ||
               std::ranges::find(harmless, name) != harmless.end();
    });
    if (!unknown) return;
    if (unknown->size() > kMaxShownBytes) {
        std::size_t end = kMaxShownBytes;
        while (end > 0 && (static_cast<unsigned char>((*unknown)[end]) & 0xC0U) == 0x80) --end;  // whole characters
        *unknown = unknown->substr(0, end) + "...";
    }
    fields.refuse(unknown->empty() ? "\"\"" : *unknown, kNotSupported);
}

}  // namespace sutazai::api
