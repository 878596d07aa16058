#include "grammar/schema_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>

#include "grammar/automaton.h"
#include "grammar/json_text.h"
#include "grammar/matcher.h"
#include "grammar/schema_limits.h"
#include "grammar/schema_node.h"
#include "grammar/schema_strings.h"
#include "grammar/utf8_classes.h"

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

constexpr int kDeepest = 64;
constexpr int kMostPatterns = 64;
constexpr std::int64_t kWorkPerValue = 10;
constexpr std::int64_t kWorkPerPattern = 1'000'000;  ///< at most, for one string

bool in(const CountRange& range, std::size_t n) {
    return n >= range.least && (range.most == kEndless || n <= range.most);
}

Checked<bool> meets_number(const json::value& value, const json::object& node) {
    NumberRange range;
    if (auto read = narrow(range, node); !read) return std::unexpected(std::move(read.error()));
    const Decimal number = Decimal::of(value);
    const auto inside = [&](const std::optional<NumberRange::Bound>& bound, int sign) {
        if (!bound) return true;
        const int order = compare(number, bound->value) * sign;
        return bound->excluded ? order > 0 : order >= 0;
    };
    return inside(range.least, 1) && inside(range.most, -1);
}

}  // namespace

Checked<bool> SchemaJudge::meets(const json::value& value, const json::value& schema, int depth) {
    if (!work_.take(kWorkPerValue)) return false;
    if (schema.is_bool()) return schema.get_bool();
    if (!schema.is_object()) return wrong("has a schema that is neither an object nor a boolean");
    if (depth > kDeepest) return wrong("refers to itself without end");
    const json::object& node = schema.get_object();
    if (const json::value* type = node.if_contains("type")) {
        const Checked<Types> types = types_named(*type);
        if (!types) return std::unexpected(types.error());
        if ((*types & type_of(value)) == 0) return false;
    }
    if (const json::value* only = node.if_contains("const"); only != nullptr && !equal(*only, value)) return false;
    if (const json::value* list = node.if_contains("enum")) {
        if (!list->is_array()) return wrong("has enum that is no array");
        const json::array& values = list->get_array();
        const auto same = [&](const json::value& one) { return equal(one, value); };
        // Most often it is one of the list itself.
        const bool is_its_own = std::less_equal<>()(values.begin(), &value) && std::less<>()(&value, values.end());
        if (!is_its_own) work_.take(std::ssize(values));
        if (!is_its_own && std::ranges::none_of(values, same)) return false;
    }
    if (const auto keyword = unsupported_keyword(node, type_of(value)); !keyword.empty()) {
        return unsupported(fmt::format("uses {}", keyword));
    }
    Checked<bool> met = meets_choices(value, node, depth);
    if (!met || !*met) return met;
    if (value.is_number()) return meets_number(value, node);
    if (value.is_string()) return meets_string(value.get_string(), node);
    if (value.is_array()) return meets_array(value.get_array(), node, depth);
    if (value.is_object()) return meets_object(value.get_object(), node, depth);
    return true;
}

Checked<bool> SchemaJudge::meets_string(const json::string& value, const json::object& node) {
    CountRange lengths;
    if (auto read = narrow(lengths, node, "minLength", "maxLength"); !read) {
        return std::unexpected(std::move(read.error()));
    }
    if (!in(lengths, characters_of(value).size())) return false;
    for (const char* keyword : {"pattern", "format"}) {
        if (!node.contains(keyword)) continue;
        if (++n_patterns_ > kMostPatterns) {
            return unsupported(fmt::format("has a {} beside more than {} values", keyword, kMostPatterns));
        }
        Checked<Expression> characters = characters_by(keyword, node.at(keyword));
        if (!characters) return std::unexpected(std::move(characters.error()));
        Rules rules;
        rules.add("a string", sequence({text("\""), std::move(*characters), text("\"")}));
        Result<Automaton> automaton = Automaton::of(rules, work_);
        if (!automaton) return false;  // no string at all
        Matcher matcher(std::make_shared<const Automaton>(std::move(*automaton)));
        Work work{kWorkPerPattern};
        const Matcher::Position end = matcher.walk(matcher.start(work), string_text(value).text, work);
        work_.take(kWorkPerPattern - work.left);
        if (end == Matcher::kTooDear)
            return unsupported(fmt::format("has a {} that takes more than {} looks at a state beside enum or const",
                                           keyword, kWorkPerPattern));
        if (end == Matcher::kDead || !matcher.may_end(end)) return false;
    }
    return true;
}

Checked<bool> SchemaJudge::meets_choices(const json::value& value, const json::object& node, int depth) {
    if (const json::value* reference = node.if_contains("$ref")) {
        const auto target = find_reference(root_, *reference);
        if (!target) return std::unexpected(target.error());
        Checked<bool> met = meets(value, **target, depth + 1);
        if (!met || !*met) return met;
    }
    for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
        const json::value* list = node.if_contains(keyword);
        if (list == nullptr) continue;
        if (!list->is_array()) return wrong(fmt::format("has {} that is no array", keyword));
        std::size_t n_met = 0;
        for (const json::value& one : list->get_array()) {
            const Checked<bool> met = meets(value, one, depth + 1);
            if (!met) return met;
            n_met += *met ? 1 : 0;
        }
        const std::string_view name = keyword;
        const bool holds = name == "allOf"   ? n_met == list->get_array().size()
                           : name == "anyOf" ? n_met > 0
                                             : n_met == 1;
        if (!holds) return false;
    }
    return true;
}

Checked<bool> SchemaJudge::meets_object(const json::object& value, const json::object& node, int depth) {
    CountRange members;
    if (auto read = narrow(members, node, "minProperties", "maxProperties"); !read) {
        return std::unexpected(std::move(read.error()));
    }
    if (!in(members, value.size())) return false;
    if (const json::value* required = node.if_contains("required"); required != nullptr && required->is_array()) {
        for (const json::value& name : required->get_array()) {
            if (name.is_string() && !value.contains(name.get_string())) return false;
        }
    }
    const json::value* properties = node.if_contains("properties");
    const json::value* others = node.if_contains("additionalProperties");
    for (const auto& [name, member] : value) {
        const json::value* schema =
            properties != nullptr && properties->is_object() ? properties->get_object().if_contains(name) : nullptr;
        if (schema == nullptr) schema = others;
        if (schema == nullptr) continue;
        Checked<bool> met = meets(member, *schema, depth + 1);
        if (!met || !*met) return met;
    }
    return true;
}

Checked<bool> SchemaJudge::meets_array(const json::array& value, const json::object& node, int depth) {
    CountRange items;
    if (auto read = narrow(items, node, "minItems", "maxItems"); !read) return std::unexpected(std::move(read.error()));
    if (!in(items, value.size())) return false;
    const json::value* first = node.if_contains("prefixItems");
    const json::value* others = node.if_contains("items");
    for (std::size_t i = 0; i < value.size(); ++i) {
        const bool in_first = first != nullptr && first->is_array() && i < first->get_array().size();
        const json::value* schema = in_first ? &first->get_array()[i] : others;
        if (schema == nullptr) continue;
        Checked<bool> met = meets(value[i], *schema, depth + 1);
        if (!met || !*met) return met;
    }
    return true;
}

}  // namespace sutazai::grammar
