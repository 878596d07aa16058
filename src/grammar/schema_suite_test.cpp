// The official JSON-Schema-Test-Suite (draft 2020-12): of every schema that is taken, what the suite calls valid can be
// written and what it calls invalid cannot; every other one is refused by name. scripts/schema-suite.sh fetches it.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/number_range.h"

namespace sutazai::grammar {
namespace {

namespace json = boost::json;

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

/// Every way to write a value that differs in the order of members, with one space after each comma and colon or
/// without. Numbers have no exponent.
std::vector<std::string> ways_to_write(const json::value& value, bool spaced) {
    constexpr std::size_t kMost = 800;
    const std::string comma = spaced ? ", " : ",";
    if (value.is_number()) return {Decimal::of(value).text()};
    const auto joined = [&](const std::vector<std::vector<std::string>>& parts, char open, char close) {
        std::vector<std::string> ways{std::string(1, open)};
        for (std::size_t i = 0; i < parts.size(); ++i) {
            std::vector<std::string> longer;
            for (const std::string& way : ways) {
                for (const std::string& part : parts[i]) longer.push_back(way + (i > 0 ? comma : "") + part);
            }
            if (longer.size() > kMost) longer.resize(kMost);
            ways = std::move(longer);
        }
        for (std::string& way : ways) way += close;
        return ways;
    };
    if (const auto* list = value.if_array()) {
        std::vector<std::vector<std::string>> parts;
        for (const json::value& entry : *list) parts.push_back(ways_to_write(entry, spaced));
        return joined(parts, '[', ']');
    }
    if (const auto* object = value.if_object()) {
        std::vector<std::string> names;
        for (const auto& [name, member] : *object) names.emplace_back(name);
        std::ranges::sort(names);
        std::vector<std::string> all;
        do {
            std::vector<std::vector<std::string>> parts;
            for (const std::string& name : names) {
                std::vector<std::string> part;
                for (const std::string& way : ways_to_write(object->at(name), spaced)) {
                    part.push_back(json::serialize(json::value(name)) + (spaced ? ": " : ":") + way);
                }
                parts.push_back(std::move(part));
            }
            for (std::string& way : joined(parts, '{', '}')) all.push_back(std::move(way));
        } while (all.size() < kMost && std::ranges::next_permutation(names).found);
        return all;
    }
    return {json::serialize(value)};
}

class Grammar {
  public:
    explicit Grammar(const json::value& schema) {
        Work work{100'000'000};
        Result<Rules> rules = read_json_schema(schema, work);
        if (!rules) {
            refusal_ = rules.error().message;
            return;
        }
        Result<Automaton> automaton = Automaton::of(*rules, work);
        if (automaton) {
            matcher_ = std::make_unique<Matcher>(std::make_shared<const Automaton>(std::move(*automaton)));
        } else {
            // A schema such as `false`.
            EXPECT_EQ(automaton.error().message, "is met by no text at all") << schema;
        }
    }
    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    [[nodiscard]] bool can_write(const json::value& value, bool spaced) {
        return matcher_ != nullptr && std::ranges::any_of(ways_to_write(value, spaced), [&](const std::string& text) {
                   Work work{10'000'000};
                   const Matcher::Position at = matcher_->walk(matcher_->start(work), text, work);
                   EXPECT_NE(at, Matcher::kTooDear) << text;
                   return at >= 0 && matcher_->may_end(at);
               });
    }

  private:
    std::string refusal_;
    std::unique_ptr<Matcher> matcher_;
};

struct Count {
    int taken = 0;
    int refused = 0;
    std::set<std::string> reasons;
};

/// Where this differs from the suite, knowingly.
bool is_exception(const std::string& file, const std::string& test) {
    // Formats are mere annotations to the suite where nobody asks for them to be kept; here they are kept.
    static const std::set<std::string> kExceptions{
        "format: invalid ipv4 string is only an annotation by default",
        "format: invalid date string is only an annotation by default",
        "format: invalid date-time string is only an annotation by default",
        "format: invalid time string is only an annotation by default",
        "format: invalid uuid string is only an annotation by default",
        // Times are written with capital letters and without leap seconds.
        "date-time: case-insensitive T and Z",
        "date-time: a valid date-time with a leap second, UTC",
        "date-time: a valid date-time with a leap second, with minus offset",
        "time: a valid time string with case-insensitive Z",
        "time: a valid time string with leap second, Zulu",
        "time: valid leap second, zero time-offset",
        "time: valid leap second, positive time-offset",
        "time: valid leap second, large positive time-offset",
        "time: valid leap second, negative time-offset",
        "time: valid leap second, large negative time-offset",
    };
    return kExceptions.contains(file + ": " + test);
}

void judge(const std::filesystem::path& path, Count& count) {
    SCOPED_TRACE(path.string());
    const json::value cases = json::parse(content_of(path));
    for (const json::value& one : cases.get_array()) {
        const json::value& schema = one.at("schema");
        Grammar grammar(schema);
        if (!grammar.refusal().empty()) {
            ++count.refused;
            EXPECT_NE(grammar.refusal().find(" at #"), std::string::npos) << grammar.refusal() << schema;
            // The suite holds schemas that are right.
            EXPECT_TRUE(grammar.refusal().ends_with(", which is not supported")) << grammar.refusal() << schema;
            count.reasons.insert(grammar.refusal().substr(0, grammar.refusal().find(" at #")));
            continue;
        }
        ++count.taken;
        for (const json::value& test : one.at("tests").get_array()) {
            const std::string name(std::string_view(test.at("description").get_string()));
            if (is_exception(path.stem().string(), name)) continue;
            for (const bool spaced : {false, true}) {
                EXPECT_EQ(grammar.can_write(test.at("data"), spaced), test.at("valid").get_bool())
                    << name << "\n  schema " << schema << "\n  data " << test.at("data");
            }
        }
    }
}

std::filesystem::path suite() {
    const char* folder = std::getenv("SUTAZAI_SCHEMA_SUITE");  // NOLINT(concurrency-mt-unsafe)
    return std::filesystem::path(folder != nullptr ? folder : SUTAZAI_SCHEMA_SUITE) / "draft2020-12";
}

TEST(SchemaSuite, WhatIsTakenIsKeptToAndTheRestIsRefused) {
    ASSERT_TRUE(std::filesystem::exists(suite())) << "scripts/schema-suite.sh fetches " << suite();
    Count count;
    for (const auto& entry : std::filesystem::directory_iterator(suite())) {
        if (entry.is_regular_file()) judge(entry.path(), count);
    }
    for (const std::string& reason : count.reasons) std::cout << reason << '\n';
    const std::string documented = "takes " + std::to_string(count.taken) + " of the suite's " +
                                   std::to_string(count.taken + count.refused) + " schemas";
    EXPECT_NE(content_of(SUTAZAI_STRUCTURED_OUTPUT_DOC).find(documented), std::string::npos)
        << "docs/structured-output.md does not say: " << documented;
    constexpr int kTakenBefore = 160;
    EXPECT_GE(count.taken, kTakenBefore) << "fewer schemas are taken than were once";
}

TEST(SchemaSuite, FormatsThatAreKept) {
    Count count;
    for (const char* format : {"date", "time", "date-time", "uuid", "ipv4"}) {
        judge(suite() / "optional" / "format" / (std::string(format) + ".json"), count);
    }
    EXPECT_EQ(count.refused, 0);
}

TEST(SchemaSuite, Optional) {
    Count count;
    for (const char* name :
         {"ecmascript-regex", "non-bmp-regex", "no-schema", "refOfUnknownKeyword", "unknownKeyword"}) {
        judge(suite() / "optional" / (std::string(name) + ".json"), count);
    }
    EXPECT_GE(count.taken, 18);
}

}  // namespace
}  // namespace sutazai::grammar
