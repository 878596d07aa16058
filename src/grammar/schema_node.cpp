#include "grammar/schema_node.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <cmath>

#include "grammar/number_range.h"
#include "grammar/utf8_classes.h"

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

struct Keyword {
    std::string_view name;
    Types limits;  ///< values of these types
};

/// Keywords that no grammar here keeps. `dependencies`, `additionalItems` and `nullable` are of other drafts.
constexpr std::array kUnsupported{
    Keyword{"not", kAnyType},
    Keyword{"$dynamicRef", kAnyType},
    Keyword{"$recursiveRef", kAnyType},
    Keyword{"multipleOf", kNumber},
    Keyword{"uniqueItems", kArray},
    Keyword{"contains", kArray},
    Keyword{"unevaluatedItems", kArray},
    Keyword{"additionalItems", kArray},
    Keyword{"patternProperties", kObject},
    Keyword{"propertyNames", kObject},
    Keyword{"dependencies", kObject},
    Keyword{"dependentRequired", kObject},
    Keyword{"dependentSchemas", kObject},
    Keyword{"unevaluatedProperties", kObject},
    Keyword{"nullable", kAnyType},
};

/// A keyword that is there and says nothing.
bool says_nothing(const json::object& node, std::string_view name, const json::value& value) {
    if (name == "uniqueItems" || name == "nullable") return value == json::value(false);
    if (name == "not") return value == json::value(false);
    if (name == "propertyNames" || name == "unevaluatedItems" || name == "unevaluatedProperties" ||
        name == "additionalItems") {
        return value == json::value(true) || (value.is_object() && value.get_object().empty());
    }
    if (name == "patternProperties" || name == "dependencies" || name == "dependentRequired" ||
        name == "dependentSchemas") {
        return value.is_object() && value.get_object().empty();
    }
    if (name == "contains") {
        const json::value* least = node.if_contains("minContains");
        return least != nullptr && *least == json::value(0) && !node.contains("maxContains");
    }
    return name == "multipleOf" && !value.is_number();
}

}  // namespace

Types type_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return kNull;
        case json::kind::bool_: return kBoolean;
        case json::kind::int64:
        case json::kind::uint64: return kInteger;
        case json::kind::double_: return std::trunc(value.get_double()) == value.get_double() ? kInteger : kFraction;
        case json::kind::string: return kString;
        case json::kind::array: return kArray;
        case json::kind::object: return kObject;
    }
    return 0;
}

Checked<Types> types_named(const json::value& type) {
    constexpr std::array<std::pair<std::string_view, Types>, 7> kNames{{{"null", kNull},
                                                                        {"boolean", kBoolean},
                                                                        {"integer", kInteger},
                                                                        {"number", kNumber},
                                                                        {"string", kString},
                                                                        {"array", kArray},
                                                                        {"object", kObject}}};
    const auto one = [&](const json::value& name) -> Types {
        if (!name.is_string()) return 0;
        const std::string_view its = name.get_string();
        const auto found = std::ranges::find(kNames, its, [](const auto& entry) { return entry.first; });
        return found == kNames.end() ? Types{0} : found->second;
    };
    Types types = 0;
    if (type.is_array()) {
        for (const json::value& name : type.get_array()) {
            const Types its = one(name);
            if (its == 0) return wrong("has a type that is none");
            types = static_cast<Types>(types | its);
        }
    } else {
        types = one(type);
    }
    if (types == 0) return wrong("has a type that is none");
    return types;
}

Checked<const json::value*> find_reference(const json::value& root, const json::value& value) {
    if (!value.is_string()) return wrong("has $ref that is no string");
    const std::string_view reference = value.get_string();
    const bool is_pointer = reference == "#" || reference.starts_with("#/");
    if (!is_pointer) return unsupported("has a $ref that is no place in this schema");
    std::string pointer;
    for (std::size_t i = 1; i < reference.size(); ++i) {
        if (reference[i] != '%') {
            pointer += reference[i];
            continue;
        }
        unsigned byte = 0;
        const char* begin = reference.data() + i + 1;
        const bool is_whole = i + 2 < reference.size() && std::from_chars(begin, begin + 2, byte, 16).ptr == begin + 2;
        if (!is_whole) return wrong("has a $ref with an escape that is none");
        pointer += static_cast<char>(byte);
        i += 2;
    }
    json::error_code error;
    const json::value* found = root.find_pointer(pointer, error);
    if (found == nullptr) return wrong("has a $ref to what this schema does not hold");
    return found;
}

bool equal(const json::value& a, const json::value& b) {
    if (a.is_int64() && b.is_int64()) return a.get_int64() == b.get_int64();
    if (a.is_number() && b.is_number()) return compare(Decimal::of(a), Decimal::of(b)) == 0;
    if (a.kind() != b.kind()) return false;
    if (const auto* list = a.if_array()) {
        return std::ranges::equal(*list, b.get_array(), equal);
    }
    if (const auto* object = a.if_object()) {
        if (object->size() != b.get_object().size()) return false;
        return std::ranges::all_of(*object, [&](const json::key_value_pair& member) {
            const json::value* other = b.get_object().if_contains(member.key());
            return other != nullptr && equal(member.value(), *other);
        });
    }
    return a == b;
}

std::string_view unsupported_keyword(const json::object& node, Types types) {
    for (const Keyword& keyword : kUnsupported) {
        const json::value* value = node.if_contains(keyword.name);
        if (value != nullptr && (keyword.limits & types) != 0 && !says_nothing(node, keyword.name, *value)) {
            return keyword.name;
        }
    }
    if ((node.contains("then") || node.contains("else")) && node.contains("if")) return "if";
    return {};
}

}  // namespace sutazai::grammar
