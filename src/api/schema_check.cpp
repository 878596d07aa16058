#include "api/schema_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sutazai::api {

namespace json = boost::json;

namespace {

using Names = std::span<const std::string_view>;

/// Every keyword that limits what a text may be. Others are annotations.
constexpr std::array<std::string_view, 43> kConstraints{"type",
                                                        "enum",
                                                        "const",
                                                        "anyOf",
                                                        "oneOf",
                                                        "allOf",
                                                        "not",
                                                        "if",
                                                        "then",
                                                        "else",
                                                        "$ref",
                                                        "$dynamicRef",
                                                        "properties",
                                                        "required",
                                                        "items",
                                                        "prefixItems",
                                                        "contains",
                                                        "patternProperties",
                                                        "propertyNames",
                                                        "minProperties",
                                                        "maxProperties",
                                                        "uniqueItems",
                                                        "minItems",
                                                        "maxItems",
                                                        "minContains",
                                                        "maxContains",
                                                        "minLength",
                                                        "maxLength",
                                                        "pattern",
                                                        "format",
                                                        "minimum",
                                                        "maximum",
                                                        "multipleOf",
                                                        "exclusiveMinimum",
                                                        "exclusiveMaximum",
                                                        "additionalProperties",
                                                        "additionalItems",
                                                        "dependencies",
                                                        "dependentRequired",
                                                        "dependentSchemas",
                                                        "unevaluatedItems",
                                                        "unevaluatedProperties",
                                                        "nullable"};

constexpr std::array<std::string_view, 3> kOfObjects{"properties", "required", "additionalProperties"};
constexpr std::array<std::string_view, 5> kOfArrays{"items", "prefixItems", "minItems", "maxItems", "uniqueItems"};
constexpr std::array<std::string_view, 4> kOfStrings{"pattern", "minLength", "maxLength", "format"};
constexpr std::array<std::string_view, 4> kOfIntegers{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};

bool holds(Names names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

std::string at(std::string_view what, const std::string& path) {
    return fmt::format("{} at {}, which is not supported", what, path);
}

std::optional<double> number_of(const json::object& node, std::string_view name) {
    const json::value* value = node.if_contains(name);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

bool is_of_type(const json::value& value, std::string_view type) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_bool();
    if (type == "string") return value.is_string();
    if (type == "array") return value.is_array();
    if (type == "object") return value.is_object();
    if (type == "integer") return value.is_int64() || value.is_uint64();
    return type == "number" && value.is_number();
}

std::string check(const json::value& schema, const std::string& path);

/// Constraints of the node beside those in `allowed`.
std::string check_keywords(const json::object& node, const std::string& path, const std::vector<Names>& allowed) {
    for (const auto& [key, value] : node) {
        const std::string_view name = key;
        const bool known = std::ranges::any_of(allowed, [&](Names names) { return holds(names, name); });
        if (!known && holds(kConstraints, name)) return at(fmt::format("uses {}", name), path);
    }
    return {};
}

std::string check_each(const json::object& node, std::string_view name, const std::string& path) {
    const json::value* list = node.if_contains(name);
    if (list == nullptr || !list->is_object()) return {};
    for (const auto& [key, value] : list->get_object()) {
        if (auto wrong = check(value, fmt::format("{}/{}/{}", path, name, std::string_view(key))); !wrong.empty()) {
            return wrong;
        }
    }
    return {};
}

std::string check_list(const json::value& list, std::string_view name, const std::string& path) {
    if (!list.is_array()) return at(fmt::format("has {} that is no array", name), path);
    std::size_t index = 0;
    for (const json::value& entry : list.get_array()) {
        if (auto wrong = check(entry, fmt::format("{}/{}/{}", path, name, index++)); !wrong.empty()) return wrong;
    }
    return {};
}

std::string check_object(const json::object& node, const std::string& path) {
    if (auto wrong = check_each(node, "properties", path); !wrong.empty()) return wrong;
    const json::value* properties = node.if_contains("properties");
    if (const json::value* required = node.if_contains("required")) {
        if (!required->is_array()) return at("has required that is no array", path);
        for (const json::value& name : required->get_array()) {
            const bool known = name.is_string() && properties != nullptr && properties->is_object() &&
                               properties->get_object().contains(name.get_string());
            if (!known) return at("requires what is none of its properties", path);
        }
    }
    const json::value* more = node.if_contains("additionalProperties");
    if (more != nullptr && more->is_object()) return check(*more, path + "/additionalProperties");
    return {};
}

std::string check_array(const json::object& node, const std::string& path) {
    const json::value* unique = node.if_contains("uniqueItems");
    if (unique != nullptr && *unique != json::value(false)) return at("uses uniqueItems", path);
    if (const json::value* prefix = node.if_contains("prefixItems")) {
        for (const std::string_view name : {"items", "minItems", "maxItems"}) {
            if (node.contains(name)) return at(fmt::format("uses {} beside prefixItems", name), path);
        }
        return check_list(*prefix, "prefixItems", path);
    }
    if (number_of(node, "minItems").value_or(0) > number_of(node, "maxItems").value_or(1e18)) {
        return at("has minItems above maxItems", path);
    }
    const json::value* items = node.if_contains("items");
    return items != nullptr ? check(*items, path + "/items") : std::string();
}

std::string check_string(const json::object& node, const std::string& path) {
    const json::value* pattern = node.if_contains("pattern");
    const json::value* format = node.if_contains("format");
    const bool sized = node.contains("minLength") || node.contains("maxLength");
    if ((pattern != nullptr) + (format != nullptr) + static_cast<int>(sized) > 1) {
        return at("limits a string in more than one of length, pattern and format", path);
    }
    if (pattern != nullptr && !(pattern->is_string() && is_supported_pattern(pattern->get_string()))) {
        return at("uses a pattern that is not ^...$ or has wildcards, negations or escaped classes", path);
    }
    constexpr std::array<std::string_view, 4> kFormats{"date", "time", "date-time", "uuid"};
    if (format != nullptr && !(format->is_string() && holds(kFormats, std::string_view(format->get_string())))) {
        return at("uses a format other than date, time, date-time and uuid", path);
    }
    if (number_of(node, "minLength").value_or(0) > number_of(node, "maxLength").value_or(1e18)) {
        return at("has minLength above maxLength", path);
    }
    return {};
}

std::string check_integer(const json::object& node, const std::string& path) {
    for (const auto& [bound, exclusive] :
         {std::pair("minimum", "exclusiveMinimum"), std::pair("maximum", "exclusiveMaximum")}) {
        if (node.contains(bound) && node.contains(exclusive))
            return at(fmt::format("has both {} and {}", bound, exclusive), path);
    }
    const double least = number_of(node, node.contains("minimum") ? "minimum" : "exclusiveMinimum").value_or(-1e18);
    const double most = number_of(node, node.contains("maximum") ? "maximum" : "exclusiveMaximum").value_or(1e18);
    if (least > most || (least == most && (node.contains("exclusiveMinimum") || node.contains("exclusiveMaximum")))) {
        return at("has a minimum above its maximum", path);
    }
    return {};
}

std::string check_values(const json::object& node, const std::string& path) {
    const json::value* type = node.if_contains("type");
    const auto fits = [&](const json::value& value) {
        if (type == nullptr) return true;
        if (type->is_string()) return is_of_type(value, std::string_view(type->get_string()));
        return type->is_array() && std::ranges::any_of(type->get_array(), [&](const json::value& one) {
                   return one.is_string() && is_of_type(value, std::string_view(one.get_string()));
               });
    };
    if (const json::value* value = node.if_contains("const"); value != nullptr && !fits(*value)) {
        return at("has a const that is not of its type", path);
    }
    const json::value* list = node.if_contains("enum");
    if (list == nullptr) return {};
    if (!list->is_array()) return at("has enum that is no array", path);
    if (!std::ranges::all_of(list->get_array(), fits)) return at("has an enum value that is not of its type", path);
    return {};
}

/// Without a type the first kind of keyword that is there decides, as in llama.cpp.
std::vector<std::string_view> types_of(const json::object& node) {
    std::vector<std::string_view> types;
    if (const json::value* type = node.if_contains("type")) {
        if (type->is_string()) types.emplace_back(std::string_view(type->get_string()));
        if (type->is_array()) {
            for (const json::value& one : type->get_array()) {
                if (one.is_string()) types.emplace_back(std::string_view(one.get_string()));
            }
        }
        return types;
    }
    for (const auto& [names, type] : {std::pair(Names(kOfObjects), "object"), std::pair(Names(kOfArrays), "array"),
                                      std::pair(Names(kOfStrings), "string")}) {
        if (std::ranges::any_of(names, [&](std::string_view name) { return node.contains(name); })) return {type};
    }
    return types;
}

std::string check_types(const json::object& node, const std::string& path) {
    constexpr std::array<std::string_view, 1> kType{"type"};
    std::vector<Names> allowed{kType};
    std::string wrong;
    for (const std::string_view type : types_of(node)) {
        if (type == "object") {
            allowed.emplace_back(kOfObjects);
            wrong = check_object(node, path);
        } else if (type == "array") {
            allowed.emplace_back(kOfArrays);
            wrong = check_array(node, path);
        } else if (type == "string") {
            allowed.emplace_back(kOfStrings);
            wrong = check_string(node, path);
        } else if (type == "integer") {
            allowed.emplace_back(kOfIntegers);
            wrong = check_integer(node, path);
        }
        if (!wrong.empty()) return wrong;
    }
    // {"type": ["integer", "number"], "minimum": 3} would let any number through.
    const auto types = types_of(node);
    if (holds(types, "number") && holds(types, "integer")) return at("has both types integer and number", path);
    return check_keywords(node, path, allowed);
}

std::string check(const json::value& schema, const std::string& path) {
    if (!schema.is_object()) return at("has a schema that is no object", path);
    const json::object& node = schema.get_object();
    for (const std::string_view name : {"$defs", "definitions"}) {
        if (auto wrong = check_each(node, name, path); !wrong.empty()) return wrong;
    }
    if (const json::value* reference = node.if_contains("$ref")) {
        const std::string_view to = reference->is_string() ? std::string_view(reference->get_string()) : "";
        const bool into_defs = (to.starts_with("#/$defs/") && to.find('/', 8) == std::string_view::npos) ||
                               (to.starts_with("#/definitions/") && to.find('/', 14) == std::string_view::npos);
        if (!into_defs) return at("has a $ref to elsewhere than #/$defs/...", path);
        constexpr std::array<std::string_view, 1> kRef{"$ref"};
        return check_keywords(node, path, {kRef});
    }
    if (const json::value* any = node.if_contains("anyOf")) {
        constexpr std::array<std::string_view, 1> kAny{"anyOf"};
        if (auto wrong = check_list(*any, "anyOf", path); !wrong.empty()) return wrong;
        return check_keywords(node, path, {kAny});
    }
    if (node.contains("const") || node.contains("enum")) {
        if (auto wrong = check_values(node, path); !wrong.empty()) return wrong;
        const std::array<std::string_view, 2> one{"type", node.contains("const") ? "const" : "enum"};
        return check_keywords(node, path, {one});
    }
    return check_types(node, path);
}

/// Reads a class from behind its '[' on; where it ends, or nothing when it is not supported.
std::optional<std::size_t> end_of_class(std::string_view pattern, std::size_t at) {
    if (at < pattern.size() && (pattern[at] == '^' || pattern[at] == ']')) return std::nullopt;
    while (at < pattern.size() && pattern[at] != ']') {
        char first = pattern[at];
        char last = first;
        if (at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
            last = pattern[at + 2];
            at += 2;
        }
        const auto covers = [&](char c) { return first <= c && c <= last; };
        if (first < ' ' || last > '~' || first > last || covers('"') || covers('\\') || covers('['))
            return std::nullopt;
        ++at;
    }
    if (at >= pattern.size()) return std::nullopt;
    return at;
}

/// The same of a repetition, from behind its '{' on: {3}, {3,} or {3,5}.
std::optional<std::size_t> end_of_count(std::string_view pattern, std::size_t at) {
    const auto skip_digits = [&] {
        const std::size_t begin = at;
        while (at < pattern.size() && pattern[at] >= '0' && pattern[at] <= '9') ++at;
        return at - begin;
    };
    if (const auto n = skip_digits(); n < 1 || n > 4) return std::nullopt;
    if (at < pattern.size() && pattern[at] == ',') {
        ++at;
        if (skip_digits() > 4) return std::nullopt;
    }
    if (at >= pattern.size() || pattern[at] != '}') return std::nullopt;
    return at;
}

}  // namespace

bool is_supported_pattern(std::string_view pattern) {
    if (pattern.size() < 2 || pattern.front() != '^' || pattern.back() != '$') return false;
    pattern = pattern.substr(1, pattern.size() - 2);
    constexpr int kDeepest = 32;
    int depth = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '[') {
            const auto end = end_of_class(pattern, i + 1);
            if (!end) return false;
            i = *end;
        } else if (c == '{') {
            const auto end = end_of_count(pattern, i + 1);
            if (!end) return false;
            i = *end;
        } else if (c == '(') {
            if (++depth > kDeepest) return false;
            if (i + 1 < pattern.size() && pattern[i + 1] == '?') {
                if (!pattern.substr(i).starts_with("(?:")) return false;
                i += 2;
            }
        } else if (c == ')') {
            if (--depth < 0) return false;
        } else if (c == '\\') {
            constexpr std::string_view kEscaped = "^$.[]()|{}*+?";
            if (++i >= pattern.size() || kEscaped.find(pattern[i]) == std::string_view::npos) return false;
        } else if (c < ' ' || c > '~' || std::string_view("\".^$]}").find(c) != std::string_view::npos) {
            return false;
        }
    }
    return depth == 0;
}

std::string unsupported_in(const json::value& schema) {
    return check(schema, "#");
}

}  // namespace sutazai::api
