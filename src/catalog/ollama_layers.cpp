#include "catalog/ollama_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/ollama_version.h"
#include "catalog/request_ranges.h"

namespace sutazai::catalog {

namespace json = boost::json;

namespace {

Result<json::value> parse(std::string_view text, std::string_view what) {
    boost::system::error_code error;
    json::value value = json::parse({text.data(), text.size()}, error);
    if (error) return fail(ErrorCode::kLoadFailed, fmt::format("its {} are no JSON", what));
    return value;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : std::string();
}

/// Nothing for what is no number.
std::optional<double> number_of(const json::value* value) {
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

std::optional<std::int64_t> whole_number_of(const json::value* value) {
    const auto number = number_of(value);
    constexpr double kMost = 9e15;
    if (!number || *number != std::floor(*number) || std::abs(*number) > kMost) return std::nullopt;
    return static_cast<std::int64_t>(*number);
}

/// Of versions as in "v0.33.1-rc2"; what is no number counts as 0.
bool is_newer(std::string_view version, std::string_view than) {
    const auto numbers = [](std::string_view text) {
        std::array<int, 3> out{};
        if (text.starts_with('v')) text.remove_prefix(1);
        for (int& number : out) {
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            const auto read = static_cast<std::size_t>(end - text.data());
            if (error != std::errc() || read == text.size() || text[read] != '.') break;
            text.remove_prefix(read + 1);
        }
        return out;
    };
    return numbers(version) > numbers(than);
}

/// Of Ollama's own code for chats, what writes a chat without tools as one of llama.cpp's templates does.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kRenderers{{
    {"lfm2", "chatml"},
    {"qwen3-coder", "chatml"},
    {"qwen3-vl-instruct", "chatml"},
}};

}  // namespace

void take_renderer_template(ModelProfile& profile) {
    if (!profile.load.fallback_template.empty()) return;
    const auto* known = std::ranges::find(kRenderers, profile.facts.renderer, &decltype(kRenderers)::value_type::first);
    if (known != kRenderers.end()) profile.load.fallback_template = known->second;
    // Its own code in Ollama has no name: it goes by the family.
    const std::string& family = profile.facts.family;
    if (family == "gptoss" || family == "gpt-oss") profile.load.fallback_template = "gpt-oss";
}

Result<void> take_ollama_config(std::string_view text, ModelProfile& profile) {
    const auto value = parse(text, "config's contents");
    if (!value) return std::unexpected(value.error());
    if (!value->is_object()) return fail(ErrorCode::kLoadFailed, "its config is no JSON object");
    const json::object& config = value->get_object();
    profile.facts = {text_of(config, "model_family"), text_of(config, "model_type"), text_of(config, "file_type"),
                     text_of(config, "renderer"),     text_of(config, "parser"),     text_of(config, "requires")};
    profile.facts.has_draft = config.contains("draft");
    const json::value* const chose = config.if_contains(kTemplateIsChosen);
    profile.facts.chose_template = chose != nullptr && chose->is_bool() && chose->get_bool();
    if (!profile.facts.needs.empty()) {
        profile.load_hint += fmt::format(". It says that it needs Ollama {}", profile.facts.needs);
        if (is_newer(profile.facts.needs, kOllamaVersion)) {
            profile.load_hint += fmt::format(", and what is known here ends with {}", kOllamaVersion);
        }
    }
    const std::string format = text_of(config, "model_format");
    if (format.empty() || format == "gguf") return {};
    return fail(ErrorCode::kLoadFailed, fmt::format("its weights are {}; only GGUF can be read", format));
}

Result<void> take_ollama_params(std::string_view text, ModelProfile& profile) {
    const auto value = parse(text, "parameters");
    if (!value) return std::unexpected(value.error());
    if (!value->is_object()) return fail(ErrorCode::kLoadFailed, "its parameters are no JSON object");
    const json::object& params = value->get_object();
    RequestDefaults& request = profile.request;
    for (const FloatField& field : kFloatFields) {
        const auto number = number_of(params.if_contains(field.name));
        if (number && field.allows(*number)) request.*field.member = static_cast<float>(*number);
    }
    if (const auto k = whole_number_of(params.if_contains("top_k")); k && *k >= 0 && *k <= kMostTopK) {
        request.top_k = static_cast<int>(*k);
    }
    if (const auto seed = whole_number_of(params.if_contains("seed")); seed && *seed >= 0) {
        request.seed = static_cast<std::uint64_t>(*seed);
    }
    if (const auto n = whole_number_of(params.if_contains("num_predict"))) {
        if (*n > 0 && *n <= std::numeric_limits<int>::max()) request.max_tokens = static_cast<int>(*n);
        if (*n < 0) request.max_tokens = -1;
    }
    if (const auto n = whole_number_of(params.if_contains("num_ctx")); n && *n > 0 && *n <= kMostContextTokens) {
        profile.load.least_context_tokens = static_cast<std::uint32_t>(*n);
    }
    const json::value* stop = params.if_contains("stop");
    const auto add = [&](const json::value& one) {
        if (!one.is_string() || one.get_string().empty() || one.get_string().size() > kMostStopBytes) return;
        if (!request.stop) request.stop.emplace();
        if (request.stop->size() < kMostStops) request.stop->emplace_back(std::string_view(one.get_string()));
    };
    if (stop != nullptr && stop->is_array()) {
        for (const json::value& one : stop->get_array()) add(one);
    } else if (stop != nullptr) {
        add(*stop);
    }
    return {};
}

Result<void> take_ollama_messages(std::string_view text, ModelProfile& profile) {
    const auto value = parse(text, "messages");
    if (!value) return std::unexpected(value.error());
    const auto refuse = [] { return fail(ErrorCode::kLoadFailed, "its messages are no list of roles and contents"); };
    if (!value->is_array()) return refuse();
    for (const json::value& entry : value->get_array()) {
        if (!entry.is_object()) return refuse();
        const std::string role = text_of(entry.get_object(), "role");
        bool known = false;
        for (const Role one : {Role::kSystem, Role::kUser, Role::kAssistant}) {
            if (role != to_string(one)) continue;
            profile.request.messages.push_back(text_message(one, text_of(entry.get_object(), "content")));
            known = true;
        }
        if (!known) return refuse();
    }
    return {};
}

}  // namespace sutazai::catalog
