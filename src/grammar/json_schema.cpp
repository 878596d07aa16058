#include "grammar/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "grammar/json_text.h"
#include "grammar/schema_judge.h"
#include "grammar/schema_limits.h"
#include "grammar/schema_node.h"
#include "grammar/schema_strings.h"

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

/// The schemas that a reference or a combination was reached through.
struct Link {
    const json::value* schema;
    std::shared_ptr<const Link> before;
};

/// One of the schemas that a value has to meet, all together.
struct Part {
    const json::value* schema;
    std::string path;
    bool any_chosen = false;  ///< a choice of its anyOf is another part
    bool one_chosen = false;  ///< the same of oneOf
    std::shared_ptr<const Link> before = {};

    [[nodiscard]] const json::object& node() const { return schema->get_object(); }
};
using Parts = std::vector<Part>;

/// A set of schemas is a rule, known by the schemas' places in memory: no name is made of what the schema says.
class Reader {
  public:
    explicit Reader(const json::value& root) : root_(root), judge_(root) {}

    Result<Rules> read() {
        rules_.add("the value");
        const Expression value = convert({{&root_, "#"}});
        rules_.define(0, value);
        while (!to_build_.empty() && !failed()) {
            const auto [id, parts] = std::move(to_build_.front());
            to_build_.pop_front();
            rules_.define(id, build(parts));
            if (rules_.size() > kMaxSchemaRules) {
                wrong_ = fmt::format("makes more than {} rules", kMaxSchemaRules);
            }
        }
        if (failed()) return fail(ErrorCode::kInvalidArgument, std::move(wrong_));
        return std::move(rules_);
    }

  private:
    [[nodiscard]] bool failed() const { return !wrong_.empty(); }
    void refuse(std::string_view what, const std::string& path) {
        if (wrong_.empty()) wrong_ = fmt::format("{} at {}, which is not supported", what, path);
    }
    /// A child of a keyword, in the name of which it is found.
    static Part child(const Part& of, const json::value& schema, std::string_view keyword, std::string_view name = {}) {
        return {&schema, fmt::format("{}/{}{}{}", of.path, keyword, name.empty() ? "" : "/", name)};
    }

    /// What meets all parts: a rule that is built later.
    Expression convert(const Parts& parts) {
        std::optional<Parts> all = flatten(parts);
        if (failed() || !all) return nothing();
        if (all->empty()) return any_value();
        std::set<std::tuple<const json::value*, bool, bool>> key;
        for (const Part& part : *all) key.emplace(part.schema, part.any_chosen, part.one_chosen);
        const auto [known, is_new] = built_.try_emplace(std::move(key), 0);
        if (is_new) {
            known->second = rules_.add(all->front().path);
            to_build_.emplace_back(known->second, std::move(*all));
        }
        return rule(known->second);
    }

    /// References and allOf taken apart. Nothing when `false` is among them.
    std::optional<Parts> flatten(const Parts& parts) {
        std::deque<Part> work(parts.begin(), parts.end());
        Parts out;
        while (!work.empty() && !failed()) {
            Part part = std::move(work.front());
            work.pop_front();
            if (++n_parts_ > kMaxSchemaParts) refuse("combines too many schemas", part.path);
            if (part.schema->is_bool()) {
                if (!part.schema->get_bool()) return std::nullopt;
                continue;
            }
            if (!part.schema->is_object()) {
                refuse("has a schema that is neither an object nor a boolean", part.path);
                return std::nullopt;
            }
            for (auto link = part.before; link != nullptr; link = link->before) {
                if (link->schema == part.schema) refuse("refers to itself without end", part.path);
            }
            if (std::ranges::find(out, part.schema, &Part::schema) != out.end()) continue;
            const auto here = std::make_shared<const Link>(Link{part.schema, part.before});
            check_dialect(part);
            if (const json::value* reference = part.node().if_contains("$ref")) {
                const json::value* target =
                    reference->is_string() ? find_reference(root_, std::string_view(reference->get_string())) : nullptr;
                if (target == nullptr) {
                    refuse("has a $ref to what this schema does not hold", part.path);
                    return std::nullopt;
                }
                work.push_back({target, std::string(std::string_view(reference->get_string())), false, false, here});
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

    Parts children(const Part& part, std::string_view keyword) {
        const json::value* list = part.node().if_contains(keyword);
        Parts out;
        if (list == nullptr) return out;
        if (!list->is_array() || list->get_array().empty()) {
            refuse(fmt::format("has {} that is no array of schemas", keyword), part.path);
            return out;
        }
        for (const json::value& each : list->get_array()) {
            out.push_back(child(part, each, keyword, std::to_string(out.size())));
        }
        return out;
    }

    /// What changes the meaning of everything else.
    void check_dialect(const Part& part) {
        const json::value* dialect = part.node().if_contains("$schema");
        const bool known = dialect == nullptr ||
                           (dialect->is_string() &&
                            std::string_view(dialect->get_string()).find("json-schema.org/") != std::string_view::npos);
        if (!known) refuse("names a $schema other than json-schema.org's", part.path);
        if (part.schema != &root_ && part.node().contains("$id")) refuse("uses $id", part.path);
    }

    Expression build(const Parts& parts) {
        Types types = kAnyType;
        bool is_listed = false;
        for (const Part& part : parts) {
            is_listed = is_listed || part.node().contains("enum") || part.node().contains("const");
            const json::value* type = part.node().if_contains("type");
            if (type == nullptr) continue;
            const Result<Types> its = types_named(*type);
            if (!its) refuse(its.error().message, part.path);
            if (failed()) return nothing();
            types &= *its;
        }
        if (is_listed) return listed(parts);
        for (const Part& part : parts) {
            const std::string_view keyword = unsupported_keyword(part.node(), types);
            if (!keyword.empty()) refuse(fmt::format("uses {}", keyword), part.path);
        }
        for (std::size_t i = 0; i < parts.size() && !failed(); ++i) {
            if (!parts[i].any_chosen && parts[i].node().contains("anyOf")) return choices(parts, i, "anyOf");
            if (!parts[i].one_chosen && parts[i].node().contains("oneOf")) return choices(parts, i, "oneOf");
        }
        std::vector<Expression> kinds;
        if ((types & kNull) != 0) kinds.push_back(text("null"));
        if ((types & kBoolean) != 0) kinds.push_back(choice({text("true"), text("false")}));
        if ((types & kNumber) != 0) kinds.push_back(number(parts, (types & kFraction) != 0));
        if ((types & kString) != 0) kinds.push_back(string(parts));
        if ((types & kArray) != 0) kinds.push_back(array(parts));
        if ((types & kObject) != 0) kinds.push_back(object(parts));
        return choice(std::move(kinds));
    }

    /// The values that enum and const name and that meet everything else.
    Expression listed(const Parts& parts) {
        std::vector<Expression> texts;
        for (const json::value* value : values_of(parts)) texts.push_back(value_text(*value));
        return choice(std::move(texts));
    }

    std::vector<const json::value*> values_of(const Parts& parts) {
        std::vector<const json::value*> named;
        for (const Part& part : parts) {
            if (const json::value* only = part.node().if_contains("const")) {
                named = {only};
                break;
            }
            const json::value* list = part.node().if_contains("enum");
            if (list == nullptr || !named.empty()) continue;
            if (!list->is_array()) refuse("has enum that is no array", part.path);
            if (failed()) return {};
            for (const json::value& value : list->get_array()) named.push_back(&value);
        }
        std::erase_if(named, [&](const json::value* value) {
            return !failed() && std::ranges::any_of(parts, [&](const Part& part) { return !meets(*value, part); });
        });
        return named;
    }

    bool meets(const json::value& value, const Part& part) {
        const Result<bool> met = judge_.meets(value, *part.schema);
        if (!met) refuse(met.error().message, part.path);
        return met.value_or(false);
    }

    /// One rule for each choice.
    Expression choices(const Parts& parts, std::size_t of, std::string_view keyword) {
        Parts each = children(parts[of], keyword);
        if (keyword == "oneOf") {
            for (std::size_t i = 0; i < each.size() && !failed(); ++i) {
                for (std::size_t k = i + 1; k < each.size() && !failed(); ++k) {
                    if (!exclude_each_other({each[i]}, {each[k]}, 3)) {
                        refuse(fmt::format("uses oneOf whose choices {} and {} may be met by one value", i, k),
                               parts[of].path);
                    }
                }
            }
        }
        std::vector<Expression> out;
        for (Part& choice : each) {
            Parts with = parts;
            (keyword == "anyOf" ? with[of].any_chosen : with[of].one_chosen) = true;
            for (Part& part : with) part.before = nullptr;
            choice.before = parts[of].before;
            with.push_back(std::move(choice));
            out.push_back(convert(with));
        }
        return choice(std::move(out));
    }

    /// Can it be seen that no value meets both? By their types, by values that are listed, or by a member that both
    /// require and that excludes itself.
    bool exclude_each_other(const Parts& a, const Parts& b, int depth) {
        const std::optional<Parts> left = flatten(a);
        const std::optional<Parts> right = flatten(b);
        if (!left || !right) return true;
        const auto types = [&](const Parts& parts) {
            Types all = kAnyType;
            for (const Part& part : parts) {
                if (const json::value* type = part.node().if_contains("type"))
                    all &= types_named(*type).value_or(kAnyType);
            }
            return all;
        };
        const Types common = types(*left) & types(*right);
        if (common == 0) return true;
        const auto lists = [](const Parts& parts) {
            return std::ranges::any_of(
                parts, [](const Part& part) { return part.node().contains("enum") || part.node().contains("const"); });
        };
        const auto none_meets = [&](const Parts& of, const Parts& others) {
            return std::ranges::none_of(values_of(of), [&](const json::value* value) {
                return std::ranges::all_of(others, [&](const Part& part) { return meets(*value, part); });
            });
        };
        if (lists(*left)) return none_meets(*left, *right);
        if (lists(*right)) return none_meets(*right, *left);
        if (common != kObject || depth == 0) return false;
        const std::vector<std::string> required = names_required(*left);
        for (const std::string& name : names_required(*right)) {
            if (std::ranges::find(required, name) == required.end()) continue;
            if (exclude_each_other(member_parts(*left, name), member_parts(*right, name), depth - 1)) return true;
        }
        return false;
    }

    Expression number(const Parts& parts, bool with_fraction) {
        NumberRange range;
        for (const Part& part : parts) {
            if (const auto read = narrow(range, part.node()); !read) refuse(read.error().message, part.path);
        }
        if (failed()) return nothing();
        return with_fraction ? numbers(range) : whole_numbers(range);
    }

    Expression string(const Parts& parts) {
        CountRange lengths;
        std::optional<Expression> characters;
        for (const Part& part : parts) {
            if (const auto read = narrow(lengths, part.node(), "minLength", "maxLength"); !read) {
                refuse(read.error().message, part.path);
            }
            for (const char* keyword : {"pattern", "format"}) {
                const json::value* value = part.node().if_contains(keyword);
                if (value == nullptr) continue;
                if (characters) refuse("limits a string by more than one of pattern and format", part.path);
                Result<Expression> its = characters_by(keyword, *value);
                if (!its) refuse(its.error().message, part.path);
                if (failed()) return nothing();
                characters = std::move(*its);
            }
            if (characters && (lengths.least > 0 || lengths.most != kEndless)) {
                refuse("limits a string by its length and by pattern or format", part.path);
            }
        }
        if (failed()) return nothing();
        if (!characters) characters = repeat(rule(any_char()), lengths.least, lengths.most);
        return sequence({text("\""), std::move(*characters), text("\"")});
    }

    Expression array(const Parts& parts) {
        CountRange count;
        std::size_t n_first = 0;
        for (const Part& part : parts) {
            const json::value* items = part.node().if_contains("items");
            if (items != nullptr && items->is_array()) refuse("has items that is an array (prefixItems is)", part.path);
            if (const auto read = narrow(count, part.node(), "minItems", "maxItems"); !read) {
                refuse(read.error().message, part.path);
            }
            const json::value* first = part.node().if_contains("prefixItems");
            if (first == nullptr) continue;
            if (!first->is_array()) refuse("has prefixItems that is no array", part.path);
            if (failed()) return nothing();
            n_first = std::max(n_first, first->get_array().size());
        }
        if (failed()) return nothing();
        const auto item = [&](std::size_t i) {
            Parts its;
            for (const Part& part : parts) {
                const json::value* first = part.node().if_contains("prefixItems");
                if (first != nullptr && i < first->get_array().size()) {
                    its.push_back(child(part, first->get_array()[i], "prefixItems", std::to_string(i)));
                } else if (const json::value* items = part.node().if_contains("items")) {
                    its.push_back(child(part, *items, "items"));
                }
            }
            return convert(its);
        };
        // From the end: what may follow i items, the closing bracket included.
        const Expression end = sequence({blank(), text("]")});
        const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(n_first, count.most));
        const std::uint32_t more = count.most == kEndless ? kEndless : count.most - n;
        const std::uint32_t least = count.least - std::min(count.least, n);
        if (n == 0) {
            if (more == 0) return sequence({text("["), blank(), text("]")});
            const Expression one = item(0);
            Expression others =
                repeat(sequence({comma(), one}), least == 0 ? 0 : least - 1, more == kEndless ? kEndless : more - 1);
            Expression some = sequence({one, std::move(others), end});
            if (least == 0) some = choice({text("]"), std::move(some)});
            return sequence({text("["), blank(), std::move(some)});
        }
        Expression rest = end;
        if (more > 0) rest = sequence({repeat(sequence({comma(), item(n)}), least, more), end});
        for (std::uint32_t i = n; i-- > 0;) {
            Expression next =
                sequence({i == 0 ? text("") : comma(), item(i), rule(rules_.add("items", std::move(rest)))});
            if (i >= count.least) next = choice({i == 0 ? text("]") : end, std::move(next)});
            rest = std::move(next);
        }
        return sequence({text("["), blank(), std::move(rest)});
    }

    std::vector<std::string> names_required(const Parts& parts) {
        std::vector<std::string> names;
        for (const Part& part : parts) {
            const json::value* required = part.node().if_contains("required");
            if (required == nullptr) continue;
            if (!required->is_array()) refuse("has required that is no array", part.path);
            if (failed()) break;
            for (const json::value& name : required->get_array()) {
                if (!name.is_string()) refuse("has required that is no array of strings", part.path);
                if (failed()) break;
                names.emplace_back(std::string_view(name.get_string()));
            }
        }
        return names;
    }

    /// The schemas that a member of this name has to meet.
    Parts member_parts(const Parts& parts, std::string_view name) {
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

    struct Member {
        std::string name;
        bool required;
    };
    std::vector<Member> members_of(const Parts& parts) {
        std::vector<Member> members;
        std::map<std::string, std::size_t, std::less<>> places;
        const auto add = [&](std::string_view name, bool required) {
            const auto [place, is_new] = places.try_emplace(std::string(name), members.size());
            if (is_new) members.push_back({std::string(name), required});
            members[place->second].required |= required;
        };
        for (const Part& part : parts) {
            const json::value* properties = part.node().if_contains("properties");
            if (properties == nullptr) continue;
            if (!properties->is_object()) refuse("has properties that is no object", part.path);
            if (failed()) return members;
            for (const auto& [name, schema] : properties->get_object()) add(name, false);
        }
        for (const std::string& name : names_required(parts)) add(name, true);
        return members;
    }

    /// Members in their order, then others. A rule for each place and each number of members so far that matters: for
    /// the comma, and for minProperties and maxProperties.
    Expression object(const Parts& parts) {
        const std::vector<Member> members = members_of(parts);
        CountRange count;
        Parts other_parts;
        for (const Part& part : parts) {
            if (const auto read = narrow(count, part.node(), "minProperties", "maxProperties"); !read) {
                refuse(read.error().message, part.path);
            }
            if (const json::value* others = part.node().if_contains("additionalProperties")) {
                other_parts.push_back(child(part, *others, "additionalProperties"));
            }
        }
        if (failed()) return nothing();
        const bool open = flatten(other_parts).has_value();
        const auto n_required = static_cast<std::uint32_t>(std::ranges::count_if(members, &Member::required));
        const auto n_members = static_cast<std::uint32_t>(members.size());
        if (count.least <= n_required) count.least = 0;
        // Names beside those listed may come twice, so that nobody knows how many there are; but one is one.
        if (open && count.least > std::max(n_required, 1U)) {
            refuse("uses minProperties above 1 beside additionalProperties", parts.front().path);
        }
        if (!open && count.most >= n_members) count.most = kEndless;
        if (failed()) return nothing();
        const std::uint32_t cap = std::max({count.most == kEndless ? 0 : count.most, count.least, 1U});
        if (std::uint64_t{cap + 1} * (n_members + 1) > kMaxSchemaRules) {
            refuse("counts too many members", parts.front().path);
            return nothing();
        }
        std::vector<std::string> names;
        std::vector<Expression> texts;
        for (const Member& member : members) {
            names.push_back(member.name);
            texts.push_back(sequence({string_text(member.name), colon(), convert(member_parts(parts, member.name))}));
        }
        Expression other = nothing();
        if (open) {
            const RuleId name =
                names.empty() ? any_string() : rules_.add("another name", string_other_than(names, rules_));
            other = sequence({rule(name), colon(), convert(other_parts)});
        }
        // after[c]: what may follow when c members have come, from the last place to the first.
        std::vector<RuleId> after(cap + 1);
        const auto next = [&](std::uint32_t c) { return rule(after[std::min(c + 1, cap)]); };
        const auto may_add = [&](std::uint32_t c) { return count.most == kEndless || c < count.most; };
        const auto begin = [&](std::uint32_t c) { return c == 0 ? text("") : comma(); };
        for (std::uint32_t c = 0; c <= cap; ++c) after[c] = rules_.add("other members");
        for (std::uint32_t c = 0; c <= cap; ++c) {
            std::vector<Expression> choices;
            if (c >= count.least) choices.push_back(c == 0 ? text("}") : sequence({blank(), text("}")}));
            if (open && may_add(c)) choices.push_back(sequence({begin(c), other, next(c)}));
            rules_.define(after[c], choice(std::move(choices)));
        }
        for (std::size_t i = members.size(); i-- > 0;) {
            std::vector<RuleId> here(cap + 1);
            const std::uint32_t most_before = std::min(cap, static_cast<std::uint32_t>(i));
            for (std::uint32_t c = 0; c <= most_before; ++c) {
                std::vector<Expression> choices;
                if (may_add(c)) choices.push_back(sequence({begin(c), texts[i], next(c)}));
                if (!members[i].required) choices.push_back(rule(after[c]));
                here[c] = rules_.add("members", choice(std::move(choices)));
            }
            after = std::move(here);
        }
        return sequence({text("{"), blank(), rule(after[0])});
    }

    static Expression comma() { return sequence({blank(), text(","), blank()}); }
    static Expression colon() { return sequence({blank(), text(":"), blank()}); }

    RuleId any_char() {
        if (!any_char_) any_char_ = rules_.add("a character", string_char());
        return *any_char_;
    }
    RuleId any_string() {
        if (!any_string_) {
            any_string_ =
                rules_.add("a string", sequence({text("\""), repeat(rule(any_char()), 0, kEndless), text("\"")}));
        }
        return *any_string_;
    }
    Expression any_value() {
        if (any_value_) return rule(*any_value_);
        any_value_ = rules_.add("a value");
        const auto list = [&](const char* open, const Expression& item, const char* close) {
            Expression items = sequence({item, repeat(sequence({comma(), item}), 0, kEndless), blank()});
            return sequence({text(open), blank(), optional(std::move(items)), text(close)});
        };
        const Expression member = sequence({rule(any_string()), colon(), rule(*any_value_)});
        rules_.define(*any_value_, choice({text("null"), text("true"), text("false"), numbers({}), rule(any_string()),
                                           list("[", rule(*any_value_), "]"), list("{", member, "}")}));
        return rule(*any_value_);
    }

    const json::value& root_;
    SchemaJudge judge_;
    Rules rules_;
    std::map<std::set<std::tuple<const json::value*, bool, bool>>, RuleId> built_;
    std::deque<std::pair<RuleId, Parts>> to_build_;
    std::optional<RuleId> any_char_, any_string_, any_value_;
    std::size_t n_parts_ = 0;
    std::string wrong_;
};

}  // namespace

Result<Rules> read_json_schema(const json::value& schema) {
    return Reader(schema).read();
}

}  // namespace sutazai::grammar
