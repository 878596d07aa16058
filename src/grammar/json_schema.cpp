#include "grammar/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "grammar/json_containers.h"
#include "grammar/json_text.h"
#include "grammar/schema_judge.h"
#include "grammar/schema_limits.h"
#include "grammar/schema_node.h"
#include "grammar/schema_parts.h"
#include "grammar/schema_strings.h"

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

/// What it took to make this.
std::int64_t work_of(const Expression& e) {
    std::int64_t work = 10 + std::ssize(e.text) / 16 + std::ssize(e.set);
    for (const Expression& part : e.parts) work += work_of(part);
    return work;
}

/// A set of schemas is a rule, known by the schemas' places in memory: no name is made of what the schema says.
class Reader {
  public:
    Reader(const json::value& root, Work& work) : root_(root), work_(work), schemas_(root, work), judge_(root, work) {}

    Result<Rules> read() {
        rules_.add("the value");
        const Expression value = convert({{&root_, "#"}});
        rules_.define(0, value);
        while (!to_build_.empty() && !failed()) {
            const auto [id, parts] = std::move(to_build_.front());
            to_build_.pop_front();
            const std::size_t n_before = rules_.size();
            rules_.define(id, build(parts));
            work_.take(work_of(rules_.body(id)));
            for (std::size_t i = n_before; i < rules_.size(); ++i) {
                work_.take(work_of(rules_.body(static_cast<RuleId>(i))));
            }
            if (rules_.size() > kMaxSchemaRules) {
                schemas_.fail(fmt::format("makes more than {} rules", kMaxSchemaRules));
            }
        }
        if (work_.is_over()) return fail(ErrorCode::kCancelled, "takes too long to read");
        if (failed()) return fail(ErrorCode::kInvalidArgument, schemas_.wrong());
        return std::move(rules_);
    }

  private:
    [[nodiscard]] bool failed() const { return schemas_.failed(); }
    void refuse(std::string_view what, const std::string& path) { schemas_.refuse(what, path); }
    void refuse(const Fault& fault, const std::string& path) { schemas_.refuse(fault, path); }

    /// What meets all parts: a rule that is built later.
    Expression convert(const Parts& parts) {
        std::optional<Parts> all = schemas_.flatten(parts);
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

    Expression build(const Parts& parts) {
        Types types = kAnyType;
        bool is_listed = false;
        for (const Part& part : parts) {
            is_listed = is_listed || part.node().contains("enum") || part.node().contains("const");
            const json::value* type = part.node().if_contains("type");
            if (type == nullptr) continue;
            const Checked<Types> its = types_named(*type);
            if (!its) refuse(its.error(), part.path);
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
            if (!list->is_array()) schemas_.refuse_wrong("has enum that is no array", part.path);
            if (failed()) return {};
            for (const json::value& value : list->get_array()) named.push_back(&value);
        }
        std::erase_if(named, [&](const json::value* value) {
            return !failed() && std::ranges::any_of(parts, [&](const Part& part) { return !meets(*value, part); });
        });
        return named;
    }

    bool meets(const json::value& value, const Part& part) {
        const Checked<bool> met = judge_.meets(value, *part.schema);
        if (!met) refuse(met.error(), part.path);
        return met.value_or(false);
    }

    /// One rule for each choice.
    Expression choices(const Parts& parts, std::size_t of, std::string_view keyword) {
        Parts each = schemas_.children(parts[of], keyword);
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
        work_.take(kWorkPerPart);
        const std::optional<Parts> left = schemas_.flatten(a);
        const std::optional<Parts> right = schemas_.flatten(b);
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
        const std::vector<std::string> required = schemas_.required(*left);
        for (const std::string& name : schemas_.required(*right)) {
            if (!work_.take(1 + std::ssize(required) / 4)) return false;
            if (std::ranges::find(required, name) == required.end()) continue;
            if (exclude_each_other(schemas_.of_member(*left, name), schemas_.of_member(*right, name), depth - 1))
                return true;
        }
        return false;
    }

    Expression number(const Parts& parts, bool with_fraction) {
        NumberRange range;
        for (const Part& part : parts) {
            if (const auto read = narrow(range, part.node()); !read) refuse(read.error(), part.path);
        }
        if (failed()) return nothing();
        return with_fraction ? numbers(range) : whole_numbers(range);
    }

    Expression string(const Parts& parts) {
        CountRange lengths;
        std::optional<Expression> characters;
        for (const Part& part : parts) {
            if (const auto read = narrow(lengths, part.node(), "minLength", "maxLength"); !read) {
                refuse(read.error(), part.path);
            }
            for (const char* keyword : {"pattern", "format"}) {
                const json::value* value = part.node().if_contains(keyword);
                if (value == nullptr) continue;
                if (characters) refuse("limits a string by more than one of pattern and format", part.path);
                Checked<Expression> its = characters_by(keyword, *value);
                if (!its) refuse(its.error(), part.path);
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
        const std::size_t n_first = schemas_.n_first_items(parts);
        CountRange count;
        for (const Part& part : parts) {
            if (const auto read = narrow(count, part.node(), "minItems", "maxItems"); !read) {
                refuse(read.error(), part.path);
            }
        }
        if (failed()) return nothing();
        return array_text(
            count, n_first, [&](std::size_t place) { return convert(schemas_.of_item(parts, place)); }, rules_);
    }

    Expression object(const Parts& parts) {
        const std::vector<SchemaParts::Member> members = schemas_.members(parts);
        const Parts other_parts = schemas_.of_other_members(parts);
        const bool open = schemas_.flatten(other_parts).has_value();
        const CountRange count = count_of(parts, members, open);
        if (failed()) return nothing();
        std::vector<std::string> names;
        std::vector<MemberText> texts;
        for (const auto& [name, is_required] : members) {
            names.push_back(name);
            Expression text = sequence({string_text(name), colon(), convert(schemas_.of_member(parts, name))});
            texts.push_back({is_required, std::move(text)});
        }
        std::optional<Expression> other;
        if (open) {
            const RuleId name =
                names.empty() ? any_string() : rules_.add("another name", string_other_than(names, rules_));
            other = sequence({rule(name), colon(), convert(other_parts)});
        }
        return object_text(count, texts, other, rules_);
    }

    /// How many members there may be, as far as they have to be counted. `open`: others than those listed may come.
    CountRange count_of(const Parts& parts, const std::vector<SchemaParts::Member>& members, bool open) {
        CountRange count;
        for (const Part& part : parts) {
            if (const auto read = narrow(count, part.node(), "minProperties", "maxProperties"); !read) {
                refuse(read.error(), part.path);
            }
        }
        const auto n_required =
            static_cast<std::uint32_t>(std::ranges::count_if(members, &SchemaParts::Member::is_required));
        if (count.least <= n_required) count.least = 0;
        // Names beside those listed may come twice, so that nobody knows how many there are; but one is one.
        if (open && count.least > std::max(n_required, 1U)) {
            refuse("uses minProperties above 1 beside additionalProperties", parts.front().path);
        }
        if (!open && count.most >= members.size()) count.most = kEndless;
        if (counts_told_apart(count) * (members.size() + 1) > kMaxSchemaRules) {
            refuse(fmt::format("counts members in more than {} ways", kMaxSchemaRules), parts.front().path);
        }
        return count;
    }

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
    Work& work_;
    SchemaParts schemas_;
    SchemaJudge judge_;
    Rules rules_;
    std::map<std::set<std::tuple<const json::value*, bool, bool>>, RuleId> built_;
    std::deque<std::pair<RuleId, Parts>> to_build_;
    std::optional<RuleId> any_char_, any_string_, any_value_;
};

}  // namespace

Result<Rules> read_json_schema(const json::value& schema, Work& work) {
    return Reader(schema, work).read();
}

}  // namespace sutazai::grammar
