#include "catalog/ollama_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "base/generation.h"
#include "catalog/request_ranges.h"

namespace sutazai::catalog {

namespace json = boost::json;

namespace {

constexpr std::int64_t kMostInt = std::numeric_limits<int>::max();

struct WholeField {
    std::string_view name;
    std::int64_t least;
    std::int64_t most;
};
constexpr std::array<WholeField, 4> kWholeFields{{
    {"top_k", 0, kMostTopK},
    {"seed", -1, std::numeric_limits<std::int64_t>::max()},
    {"num_predict", -2, kMostInt},
    {"num_ctx", 1, kMostContextTokens},
}};

/// Methods of sampling that are off with one value, and not supported with others.
struct MethodField {
    std::string_view name;
    double off;
};
constexpr std::array<MethodField, 4> kMethods{
    {{"typical_p", 1}, {"tfs_z", 1}, {"mirostat", 0}, {"repeat_last_n", kPenaltyWindowTokens}}};

std::unexpected<Error> refuse(std::string_view name, std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("parameter {} {}", name, what),
                "parameters." + std::string(name));
}

std::string shown(const json::value& value) {
    return json::serialize(value).substr(0, 80);
}

std::optional<std::int64_t> whole(const json::value& value) {
    if (const auto* number = value.if_int64()) return *number;
    const auto* number = value.if_double();
    constexpr double kMost = 9e15;
    if (number == nullptr || std::floor(*number) != *number || std::abs(*number) > kMost) return std::nullopt;
    return static_cast<std::int64_t>(*number);
}

Result<json::value> check_stop(const json::value& value) {
    json::array list;
    if (value.is_array()) {
        list = value.get_array();
    } else {
        list.push_back(value);
    }
    if (list.size() > kMostStops) return refuse("stop", fmt::format("may be given {} times at most", kMostStops));
    for (const json::value& one : list) {
        if (one.is_string() && !one.get_string().empty() && one.get_string().size() <= kMostStopBytes) continue;
        return refuse("stop", fmt::format("must be a text of 1 to {} bytes, or a list of them", kMostStopBytes));
    }
    return json::value(std::move(list));
}

}  // namespace

Result<json::value> check_ollama_parameter(std::string_view name, const json::value& value) {
    if (name == "stop") return check_stop(value);
    for (const FloatField& field : kFloatFields) {
        if (field.name != name) continue;
        if (value.is_number() && field.allows(value.to_number<double>())) return value;
        return refuse(name,
                      fmt::format("must be {} {} and at most {} (got {})", field.above_least ? "above" : "at least",
                                  field.least, field.most, shown(value)));
    }
    for (const WholeField& field : kWholeFields) {
        if (field.name != name) continue;
        const auto number = whole(value);
        const bool none = name == "num_predict" && number == 0;
        if (number && *number >= field.least && *number <= field.most && !none) return json::value(*number);
        return refuse(name, fmt::format("must be a whole number from {} to {}{} (got {})", field.least, field.most,
                                        name == "num_predict" ? ", but not 0" : "", shown(value)));
    }
    for (const MethodField& method : kMethods) {
        if (method.name != name) continue;
        if (value.is_number() && value.to_number<double>() == method.off) return value;
        return refuse(name, fmt::format("is not supported; it may only be {} (got {})", method.off, shown(value)));
    }
    const bool is_idle = std::ranges::find(kIdleOllamaOptions, name) != kIdleOllamaOptions.end();
    if (!is_idle && name != "vocab_only") return refuse(name, "is not known");
    if (value.is_number() || value.is_bool()) return value;
    return refuse(name, fmt::format("must be a number, true or false (got {})", shown(value)));
}

Result<json::value> parse_ollama_parameter(std::string_view name, std::string_view text) {
    if (name == "stop") return check_ollama_parameter(name, json::value(json::string(text)));
    if (text == "true" || text == "false") return check_ollama_parameter(name, json::value(text == "true"));
    std::int64_t number = 0;
    const char* const end = text.end();
    if (const auto read = std::from_chars(text.begin(), end, number); read.ec == std::errc() && read.ptr == end) {
        return check_ollama_parameter(name, json::value(number));
    }
    double real = 0;
    if (const auto read = std::from_chars(text.begin(), end, real);
        read.ec == std::errc() && read.ptr == end && std::isfinite(real)) {
        return check_ollama_parameter(name, json::value(real));
    }
    return check_ollama_parameter(name, json::value(json::string(text)));
}

Result<void> add_ollama_parameter(json::object& parameters, std::string_view name, std::string_view text) {
    auto value = parse_ollama_parameter(name, text);
    if (!value) return std::unexpected(std::move(value.error()));
    json::value* there = parameters.if_contains(name);
    if (there == nullptr || !there->is_array()) {
        parameters[name] = std::move(*value);
        return {};
    }
    if (there->get_array().size() == kMostStops) {
        return refuse(name, fmt::format("may be given {} times at most", kMostStops));
    }
    there->get_array().push_back(value->get_array().front());
    return {};
}

std::string parameter_lines(const json::object& parameters, std::string_view prefix) {
    std::string out;
    for (const auto& [key, value] : parameters) {
        const std::string_view name = key;
        const auto add = [&](const json::value& one) {
            const std::string text =
                one.is_string() ? fmt::format("\"{}\"", std::string_view(one.get_string())) : json::serialize(one);
            out += fmt::format("{}{} {}\n", prefix, name, text);
        };
        if (value.is_array()) {
            for (const json::value& one : value.get_array()) add(one);
        } else {
            add(value);
        }
    }
    return out;
}

}  // namespace sutazai::catalog
