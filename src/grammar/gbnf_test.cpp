// GBNF as llama.cpp defines it: what it means, and what is refused.
#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include <initializer_list>

#include "grammar/matcher.h"

namespace sutazai::grammar {
namespace {

constexpr std::int64_t kPlenty = 100'000'000;

/// Why a grammar is refused; empty when it is not.
std::string refusal(std::string_view gbnf) {
    const auto rules = read_gbnf(gbnf);
    if (!rules) return rules.error().message;
    Work work{kPlenty};
    const auto automaton = Automaton::of(*rules, work);
    return automaton ? std::string() : automaton.error().message;
}

bool takes(std::string_view gbnf, std::string_view text) {
    const auto rules = read_gbnf(gbnf);
    EXPECT_TRUE(rules) << gbnf << ": " << (rules ? "" : rules.error().message);
    if (!rules) return false;
    Work work{kPlenty};
    auto automaton = Automaton::of(*rules, work);
    EXPECT_TRUE(automaton) << gbnf;
    if (!automaton) return false;
    Matcher matcher(std::make_shared<const Automaton>(std::move(*automaton)));
    const Matcher::Position at = matcher.walk(matcher.start(work), text, work);
    EXPECT_NE(at, Matcher::kTooDear);
    return at >= 0 && matcher.may_end(at);
}

void expect(std::string_view gbnf, std::initializer_list<std::string_view> taken,
            std::initializer_list<std::string_view> refused) {
    for (const auto text : taken) EXPECT_TRUE(takes(gbnf, text)) << gbnf << " and " << text;
    for (const auto text : refused) EXPECT_FALSE(takes(gbnf, text)) << gbnf << " and " << text;
}

TEST(Gbnf, SaysWhatLlamaCppMakesOfIt) {
    expect(R"(root ::= "a" | "b" "c")", {"a", "bc"}, {"", "b", "ac", "abc"});
    expect(R"(root ::= "ab"*)", {"", "ab", "abab"}, {"a", "abb"});
    expect(R"(root ::= [a-c]+ "-"? [^0-9\]]{2,3})", {"a-xy", "abcxyz", "c--x"}, {"-xy", "a-1x", "ax", "a-]x"});
    expect("root ::= one # comment \"\n  \nanother::=[x-]\none ::= \"1\" (another |\n \"2\")\n", {"1x", "1-", "12"},
           {"1", "2"});
    expect("root ::= \"a\" |\r\n \"b\"\r\n", {"a", "b"}, {"ab"});
    expect(R"(root ::= "" | "\x41\u00e9\U0001F600\t\n\\\"")", {"", "A\u00e9\U0001F600\t\n\\\""}, {"A"});
    expect("root ::= [\u00e0-\u00ff\U0001F600]{2} .", {"\u00e9\U0001F600x", "\u00e0\u00ff\u65e5"},
           {"ex", "\u00e9e.", "\u00e9\u00e9"});
    expect("root ::= [^a]", {"b", "\u00e9", "\U0010ffff", "\n"}, {"a", "", "\xff", "\xed\xa0\x80"});
    expect("root ::= [] \"a\"", {"a"}, {""});
    expect("root ::= \"a\"{2} \"b\"{1,} \"c\"{0,2} \"d\"{0}", {"aab", "aabbcc"}, {"ab", "aabccc", "aabd"});
    expect("a-1 ::= \"x\" root ::= \"y\"\nroot ::= a-1\n", {}, {});
}

TEST(Gbnf, LaterRulesOfANameReplaceEarlierOnes) {
    expect("root ::= a\na ::= \"1\"\na ::= \"2\"", {"2"}, {"1"});
}

TEST(Gbnf, CountsExactly) {
    const std::string a(5000, 'a');
    EXPECT_TRUE(takes("root ::= \"a\"{5000}", a));
    EXPECT_FALSE(takes("root ::= \"a\"{5000}", a.substr(1)));
    EXPECT_FALSE(takes("root ::= \"a\"{5000}", a + "a"));
    for (const int n : {0, 1, 2999, 20'000, 30'000}) {
        EXPECT_TRUE(takes("root ::= [ab]{0,30000}", std::string(static_cast<std::size_t>(n), 'b'))) << n;
    }
    EXPECT_FALSE(takes("root ::= [ab]{0,30000}", std::string(30'001, 'b')));
    EXPECT_TRUE(takes("root ::= (\"ab\" | \"c\"){20000,20002} \"d\"", std::string(20'001, 'c') + "d"));
    EXPECT_FALSE(takes("root ::= (\"ab\" | \"c\"){20000,20002} \"d\"", std::string(19'999, 'c') + "d"));
    EXPECT_FALSE(takes("root ::= (\"ab\" | \"c\"){20000,20002} \"d\"", std::string(20'003, 'c') + "d"));
    EXPECT_TRUE(takes("root ::= ((\"a\"?){50}){50}", a.substr(0, 2500)));
    EXPECT_TRUE(takes("root ::= ((\"a\"?){50}){50}", ""));
    EXPECT_FALSE(takes("root ::= ((\"a\"?){50}){50}", a.substr(0, 2501)));
    EXPECT_TRUE(takes("root ::= \"a\"{0,99999999999999999999}", a));
}

TEST(Gbnf, NamesWhatIsWrongAndWhere) {
    const std::pair<const char*, const char*> cases[] = {
        {"", "has no rule root"},
        {"a ::= \"a\"", "has no rule root"},
        {"root ::= unknown", "has no rule unknown"},
        {"root", "does not parse in line 1: ::= is expected"},
        {"root ::= \"a\"\n\nb = c", "does not parse in line 3: ::= is expected"},
        {"root ::= [", "does not parse in line 1: a class does not end"},
        {"root ::= \"a", "does not parse in line 1: a string does not end"},
        {"root ::= (\"a\"", "does not parse in line 1: ) is expected"},
        {"root ::= \"a\")", "does not parse in line 1: the end of the rule is expected"},
        {"root ::= *", "does not parse in line 1: * follows nothing"},
        {"root ::= \"a\"{x}", "does not parse in line 1: a number is expected"},
        {"root ::= \"a\"{3,2}", "does not parse in line 1: a repetition counts down"},
        {"root ::= \"a\"{2", "does not parse in line 1: } is expected"},
        {"root ::= \"a\"{99999999999999999999}", "does not parse in line 1: a text cannot repeat so often"},
        {"root ::= \"\\q\"", "does not parse in line 1: an escape is unknown"},
        {"root ::= \"\\ud800\"", "does not parse in line 1: an escape names no character"},
        {"root ::= \"\\xg0\"", "does not parse in line 1: 2 hexadecimal digits are expected"},
        {"root ::= <|end|>", "does not parse in line 1: <|end|> is no token of this model"},
        {"root ::= <[1]", "does not parse in line 1: a token is expected, as <name> or <[number]>"},
        {"\xff\xfe", "does not parse in line 1: a name is expected"},
        {"root ::= root \"a\"", "begins with itself, without end, at root"},
        {"root ::= x root \"a\" | \"b\"\nx ::= \"y\"?", "begins with itself, without end, at root"},
        {"root ::= \"a\" b\nb ::= c\nc ::= \"\" b", "begins with itself, without end, at b"},
        {"root ::= \"a\" root", "is met by no text at all"},
    };
    for (const auto& [gbnf, expected] : cases) EXPECT_EQ(refusal(gbnf), expected) << gbnf;
    EXPECT_EQ(refusal("root ::= " + std::string(65, '(') + "\"a\"" + std::string(65, ')')),
              "does not parse in line 1: parentheses nest deeper than 64");
    EXPECT_EQ(refusal("root ::= " + std::string(64, '(') + "\"a\"" + std::string(64, ')')), "");
    std::string large = "root ::= \"\"";
    for (int i = 0; i < 300; ++i) large += " ([a-z] [0-9] \"x\"?){2000}";
    EXPECT_EQ(refusal(large), "is too large: written out, it has more than 524288 states");
}

}  // namespace
}  // namespace sutazai::grammar
