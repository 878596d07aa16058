#include "text/go_template.h"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::text {
namespace {

GoValue text(const char* its) {
    return GoValue(std::string(its));
}

GoValue message(const char* role, const char* content) {
    return GoValue::map({{{"Role", text(role)}, {"Content", text(content)}}, true});
}

GoValue number(std::int64_t its) {
    return GoValue(its);
}

/// What the golden file's templates were given.
GoValue data() {
    return GoValue::map({{
        {"System", text("Be brief.")},
        {"Prompt", text("Hi <b>")},
        {"N", number(3)},
        {"F", GoValue(1.5)},
        {"Zero", number(0)},
        {"Nil", GoValue()},
        {"List", GoValue::list({text("a"), text("b"), text("c")})},
        {"Empty", GoValue::list({})},
        {"Map", GoValue::map({{{"x", number(1)}, {"y", text("z")}}})},
        {"Messages", GoValue::list({message("system", "Be brief."), message("user", "Hello \"you\""),
                                    message("assistant", "Hi."), message("user", "Bye")})},
    }});
}

Result<std::string> rendered(std::string_view source, const GoValue& dot) {
    const auto made = GoTemplate::parse(source);
    if (!made) return std::unexpected(made.error());
    std::string out;
    const auto done = made->execute(dot, [&](std::string_view piece, int) { out += piece; });
    if (!done) return std::unexpected(done.error());
    return out;
}

std::string error_of(std::string_view source) {
    const auto out = rendered(source, data());
    return out ? "went well: " + *out : out.error().message;
}

TEST(GoTemplate, WritesWhatGoWrites) {
    std::ifstream file(SUTAZAI_GO_TEMPLATES);
    const std::string golden{std::istreambuf_iterator<char>(file), {}};
    std::size_t n_right = 0;
    const boost::json::value cases = boost::json::parse(golden);
    for (const boost::json::value& one : cases.as_array()) {
        const std::string source(one.at("template").as_string());
        const auto out = rendered(source, data());
        if (one.at("output").is_null()) {
            EXPECT_FALSE(out) << source << "\n" << out.value_or("");
        } else {
            ASSERT_TRUE(out) << source << "\n" << out.error().message;
            EXPECT_EQ(*out, std::string_view(one.at("output").as_string())) << source;
        }
        ++n_right;
    }
    EXPECT_GE(n_right, 78U);
}

TEST(GoTemplate, TellsWhoseEachPieceIs) {
    const GoValue dot = GoValue::map({{{"Content", GoValue(std::string("<|im_end|>"), 7)}}});
    std::vector<std::pair<std::string, int>> pieces;
    const auto made = GoTemplate::parse(
        "<|im_end|>{{ .Content }}{{ \"x\" }}{{ printf \"%s!\" .Content }}{{ slice .Content 1 3 }}"
        "{{ $c := .Content }}{{ $c }}{{ json .Content }}");
    ASSERT_TRUE(made);
    ASSERT_TRUE(made->execute(dot, [&](std::string_view piece, int origin) { pieces.emplace_back(piece, origin); }));
    const std::vector<std::pair<std::string, int>> expected{{"<|im_end|>", 0},
                                                            {"<|im_end|>", 7},
                                                            {"x", 0},
                                                            {"<|im_end|>!", 7},
                                                            {"|i", 7},
                                                            {"<|im_end|>", 7},
                                                            {"\"\\u003c|im_end|\\u003e\"", 7}};
    EXPECT_EQ(pieces, expected);
}

TEST(GoTemplate, ErrorsNameTheLine) {
    EXPECT_EQ(error_of("a\nb\n{{ foo }}"), "line 3: function \"foo\" is not known");
    EXPECT_EQ(error_of("{{ if .N }}\n\nx"), "line 3: a block has no {{end}}");
    EXPECT_EQ(error_of("\n{{ index .List 9 }}"), "line 2: index out of range: 9");
    EXPECT_EQ(error_of("{{- /* a\n\nb */ -}}\n{{ .Nope.Foo }}"), "line 4: can't evaluate field Foo in type nil");
    EXPECT_EQ(error_of("\n{{ $unknown }}"), "line 2: variable $unknown is not known");
}

TEST(GoTemplate, NeitherWorkNorDepthHasNoEnd) {
    EXPECT_NE(error_of("{{ range 10000000 }}{{ end }}").find("steps"), std::string::npos);
    EXPECT_NE(error_of("{{ range 2000 }}{{ range 2000 }}{{ end }}{{ end }}").find("steps"), std::string::npos);
    EXPECT_NE(error_of("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}").find("deep"),
              std::string::npos);
    EXPECT_NE(error_of("{{ $s := \"x\" }}{{ range 100 }}{{ $s = printf \"%s%s\" $s $s }}{{ end }}").find("too much"),
              std::string::npos);
    EXPECT_NE(
        error_of("{{ $s := `" + std::string(100'000, 'x') + "` }}{{ range 100000 }}{{ $s }}{{ end }}").find("bytes"),
        std::string::npos);
    const GoValue large = GoValue::map({{{"Text", GoValue(std::string(3'000'000, 'x'))}}});
    const auto looked = rendered("{{ range 400000 }}{{ if eq (len $.Text) 1 }}x{{ end }}{{ end }}", large);
    EXPECT_TRUE(!looked && looked.error().message.find("looks at") != std::string::npos);
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "{{ if 1 }}";
    EXPECT_NE(error_of(deep).find("nested"), std::string::npos);
    deep.clear();
    for (int i = 0; i < 100'000; ++i) deep += "{{ if 1 }}{{ else ";
    EXPECT_NE(error_of(deep).find("went well"), 0U);
    EXPECT_NE(error_of("{{ " + std::string(100'000, '(') + " }}").find("nested"), std::string::npos);
    EXPECT_NE(error_of("{{ printf \"%99999999d\" 1 }}").find("width"), std::string::npos);
    EXPECT_NE(error_of(std::string((1 << 20) + 1, 'x')).find("1048576 bytes"), std::string::npos);
}

TEST(GoTemplate, CanBeCancelled) {
    const auto made = GoTemplate::parse("{{ range 900000 }}{{ end }}");
    int asked = 0;
    const auto done = made->execute(
        {}, [](std::string_view, int) {}, [&] { return ++asked == 3; });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kCancelled);
}

TEST(GoTemplate, KnowsItsFieldsAndIsCutBehindOne) {
    const auto made =
        GoTemplate::parse("{{ if .System }}S{{ end }}{{ if .Prompt }}P{{ .Response }}E{{ else }}N{{ end }}T");
    ASSERT_TRUE(made);
    EXPECT_TRUE(made->uses("Response"));
    EXPECT_FALSE(made->uses("Messages"));
    const auto shown = [](const GoTemplate& its) {
        std::string out;
        EXPECT_TRUE(its.execute(data(), [&](std::string_view piece, int) { out += piece; }));
        return out;
    };
    EXPECT_EQ(shown(*made), "SP<no value>ET");
    EXPECT_EQ(shown(made->cut_behind("Response")), "SP<no value>");
    EXPECT_EQ(shown(made->cut_behind("Nothing")), "SP<no value>ET");
    EXPECT_EQ(shown(GoTemplate::parse("a{{ .Prompt }}")->with_field("System")), "aHi <b>Be brief.");
}

/// What nobody should write ends in an error, or in some text, and never in anything else.
TEST(GoTemplate, RandomPiecesOfTemplatesDoNoHarm) {
    const std::vector<std::string> words{
        "{{",     "}}",    "{{-",      "-}}",   " ",        "if",     "else",  "end",   "range",     "with",
        "define", "block", "template", "\"a\"", "`b`",      "'c'",    ".",     ".List", ".Messages", "$x",
        "$",      ":=",    "=",        ",",     "|",        "(",      ")",     "1",     "1.5",       "-",
        "nil",    "true",  "and",      "not",   "printf",   "\"%s\"", "index", "slice", "len",       "eq",
        "json",   "/*",    "*/",       "break", "continue", "text",   "\n",    "\\",    ".Role"};
    std::uint64_t state = 88172645463325252ULL;
    const auto next = [&state] {
        state ^= state << 13U;
        state ^= state >> 7U;
        state ^= state << 17U;
        return state;
    };
    const GoValue dot = data();
    for (int round = 0; round < 20'000; ++round) {
        std::string source;
        for (std::uint64_t n = next() % 30; n > 0; --n) {
            source += words[next() % words.size()];
            if (next() % 2 == 0) source += ' ';
        }
        const auto out = rendered(source, dot);
        EXPECT_TRUE(out || !out.error().message.empty()) << source;
    }
}

}  // namespace
}  // namespace sutazai::text
