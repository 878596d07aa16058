#include "grammar/schema_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <deque>
#include <map>
#include <utility>

#include "grammar/json_schema.h"
#include "grammar/schema_node.h"

namespace sutazai::grammar {

namespace json = boost::json;

Part child(const Part& of, const json::value& schema, std::string_view keyword, std::string_view name) {
    return {&schema, fmt::format("{}/{}{}{}", of.path, keyword, name.empty() ? "" : "/", name)};
}

void SchemaParts::refuse(const Fault& fault, const std::string& path) {
    fail(fmt::format("{} at {}{}{}{}", fault.what, path, fault.is_error ? "" : ", which is not supported",
                     fault.detail.empty() ? "" : ": ", fault.detail));
}

void SchemaParts::refuse(std::string_view what, const std::string& path) {
    refuse(Fault{std::string(what)}, path);
}

void SchemaParts::refuse_wrong(std::string_view what, const std::string& path) {
    refuse(Fault{std::string(what), true}, path);
}

void SchemaParts::fail(std::string wrong) {
    if (wrong_.empty()) wrong_ = std::move(wrong);
}

std::optional<Parts> SchemaParts::flatten(const Parts& parts) {
    std::deque<Part> work(parts.begin(), parts.end());
    Parts out;
    while (!work.empty() && !failed()) {
        Part part = std::move(work.front());
        work.pop_front();
        work_.take(kWorkPerPart);
        if (++n_parts_ > kMaxSchemaParts)
            refuse(fmt::format("combines more than {} schemas", kMaxSchemaParts), part.path);
        if (part.schema->is_bool()) {
            if (!part.schema->get_bool()) return std::nullopt;
            continue;
        }
        if (!part.schema->is_object()) {
            refuse_wrong("has a schema that is neither an object nor a boolean", part.path);
            return std::nullopt;
        }
        for (auto link = part.before; link != nullptr; link = link->before) {
            if (link->schema == part.schema) refuse_wrong("refers to itself without end", part.path);
        }
        if (std::ranges::find(out, part.schema, &Part::schema) != out.end()) continue;
        const auto here = std::make_shared<const Part::Link>(Part::Link{part.schema, part.before});
        check_dialect(part);
        if (const json::value* reference = part.node().if_contains("$ref")) {
            const auto target = find_reference(root_, *reference);
            if (!target) {
                refuse(target.error(), part.path);
                return std::nullopt;
            }
            work.push_back({*target, std::string(std::string_view(reference->get_string())), false, false, here});
        }
        for (Part& each : children(part, "allOf")) {
            each.before = here;
            work.push_back(std::move(each));
        }
        part.before = here;
        out.push_back(std::move(part));
    }
    return out;
}

Parts SchemaParts::children(const Part& part, std::string_view keyword) {
    const json::value* list = part.node().if_contains(keyword);
    Parts out;
    if (list == nullptr) return out;
    if (!list->is_array() || list->get_array().empty()) {
        refuse_wrong(fmt::format("has {} that is no array of schemas", keyword), part.path);
        return out;
    }
    for (const json::value& each : list->get_array()) {
        out.push_back(child(part, each, keyword, std::to_string(out.size())));
    }
    return out;
}

/// What changes the meaning of everything else.
void SchemaParts::check_dialect(const Part& part) {
    const json::value* dialect = part.node().if_contains("$schema");
    const bool known = dialect == nullptr ||
                       (dialect->is_string() &&
                        std::string_view(dialect->get_string()).find("json-schema.org/") != std::string_view::npos);
    if (!known) refuse("names a $schema other than json-schema.org's", part.path);
    if (part.schema != &root_ && part.node().contains("$id")) refuse("uses $id", part.path);
}

Parts SchemaParts::of_member(const Parts& parts, std::string_view name) {
    Parts its;
    for (const Part& part : parts) {
        const json::value* properties = part.node().if_contains("properties");
        const json::value* known =
            properties != nullptr && properties->is_object() ? properties->get_object().if_contains(name) : nullptr;
        if (known != nullptr) {
            its.push_back(child(part, *known, "properties", name));
        } else if (const json::value* others = part.node().if_contains("additionalProperties")) {
            its.push_back(child(part, *others, "additionalProperties"));
        }
    }
    return its;
}

Parts SchemaParts::of_other_members(const Parts& parts) {
    Parts its;
    for (const Part& part : parts) {
        if (const json::value* others = part.node().if_contains("additionalProperties")) {
            its.push_back(child(part, *others, "additionalProperties"));
        }
    }
    return its;
}

std::vector<SchemaParts::Member> SchemaParts::members(const Parts& parts) {
    std::vector<Member> members;
    std::map<std::string, std::size_t, std::less<>> places;
    const auto add = [&](std::string_view name, bool is_required) {
        const auto [place, is_new] = places.try_emplace(std::string(name), members.size());
        if (is_new) members.push_back({std::string(name), is_required});
        members[place->second].is_required |= is_required;
    };
    for (const Part& part : parts) {
        const json::value* properties = part.node().if_contains("properties");
        if (properties == nullptr) continue;
        if (!properties->is_object()) refuse_wrong("has properties that is no object", part.path);
        if (failed()) return members;
        for (const auto& [name, schema] : properties->get_object()) add(name, false);
    }
    for (const std::string& name : required(parts)) add(name, true);
    return members;
}

std::vector<std::string> SchemaParts::required(const Parts& parts) {
    std::vector<std::string> names;
    for (const Part& part : parts) {
        const json::value* required = part.node().if_contains("required");
        if (required == nullptr) continue;
        if (!required->is_array()) refuse_wrong("has required that is no array", part.path);
        if (failed()) break;
        for (const json::value& name : required->get_array()) {
            if (!name.is_string()) refuse_wrong("has required that is no array of strings", part.path);
            if (failed()) break;
            names.emplace_back(std::string_view(name.get_string()));
        }
    }
    return names;
}

std::size_t SchemaParts::n_first_items(const Parts& parts) {
    std::size_t n = 0;
    for (const Part& part : parts) {
        const json::value* items = part.node().if_contains("items");
        if (items != nullptr && items->is_array()) refuse("has items that is an array (prefixItems is)", part.path);
        const json::value* first = part.node().if_contains("prefixItems");
        if (first == nullptr) continue;
        if (!first->is_array()) refuse_wrong("has prefixItems that is no array", part.path);
        if (failed()) return n;
        n = std::max(n, first->get_array().size());
    }
    return n;
}

Parts SchemaParts::of_item(const Parts& parts, std::size_t place) {
    Parts its;
    for (const Part& part : parts) {
        const json::value* first = part.node().if_contains("prefixItems");
        if (first != nullptr && place < first->get_array().size()) {
            its.push_back(child(part, first->get_array()[place], "prefixItems", std::to_string(place)));
        } else if (const json::value* items = part.node().if_contains("items")) {
            its.push_back(child(part, *items, "items"));
        }
    }
    return its;
}

}  // namespace sutazai::grammar
