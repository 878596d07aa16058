// The matcher against a slow one that tries everything, on random grammars; and what hostile grammars cost.
#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "grammar/gbnf.h"

namespace sutazai::grammar {
namespace {

std::shared_ptr<const Automaton> automaton_of(std::string_view gbnf) {
    Work work{100'000'000};
    auto automaton = Automaton::of(read_gbnf(gbnf).value(), work);
    if (!automaton) return nullptr;
    return std::make_shared<const Automaton>(std::move(*automaton));
}

/// Where a match of `e` that begins at a place may end. Of rules it is only known what `known` says.
class SlowMatcher {
  public:
    SlowMatcher(const Rules& rules, std::string_view text) : rules_(rules), text_(text) {
        known_.assign(rules.size() * (text.size() + 1), 0);
        for (bool more = true; more;) {
            more = false;
            for (std::size_t r = 0; r < rules.size(); ++r) {
                for (std::size_t at = 0; at <= text.size(); ++at) {
                    std::uint64_t& ends = known_[r * (text.size() + 1) + at];
                    const std::uint64_t found = ends_of(rules.body(static_cast<RuleId>(r)), std::uint64_t{1} << at);
                    more = more || (found | ends) != ends;
                    ends |= found;
                }
            }
        }
    }
    bool matches() const { return ((known_[0] >> text_.size()) & 1U) != 0; }

  private:
    std::uint64_t ends_of(const Expression& e, std::uint64_t begins) const {
        std::uint64_t ends = 0;
        switch (e.kind) {
            case Expression::Kind::kText:
                for (std::size_t at = 0; at <= text_.size(); ++at) {
                    if (((begins >> at) & 1U) != 0 && text_.substr(at).starts_with(e.text)) {
                        ends |= std::uint64_t{1} << (at + e.text.size());
                    }
                }
                return ends;
            case Expression::Kind::kRule:
                for (std::size_t at = 0; at <= text_.size(); ++at) {
                    if (((begins >> at) & 1U) != 0) {
                        ends |= known_[static_cast<std::size_t>(e.number) * (text_.size() + 1) + at];
                    }
                }
                return ends;
            case Expression::Kind::kSequence:
                for (const Expression& part : e.parts) begins = ends_of(part, begins);
                return begins;
            case Expression::Kind::kChoice:
                for (const Expression& part : e.parts) ends |= ends_of(part, begins);
                return ends;
            case Expression::Kind::kRepeat: {
                std::uint64_t now = begins;
                for (std::uint32_t i = 0; i < std::min<std::uint32_t>(e.most, 10); ++i) {
                    if (i >= e.least) ends |= now;
                    now = ends_of(e.parts.front(), now);
                }
                return ends | now;
            }
            default: return 0;
        }
    }

    const Rules& rules_;
    std::string_view text_;
    std::vector<std::uint64_t> known_;  ///< [rule][begin]: bits of ends
};

std::string random_grammar(std::mt19937& random) {
    const auto pick = [&](auto n) { return random() % static_cast<unsigned>(n); };
    const auto item = [&](auto&& self, int depth) -> std::string {
        constexpr std::array<const char*, 8> kRepeats{"", "", "", "?", "*", "+", "{0,2}", "{2,3}"};
        constexpr std::array<const char*, 5> kTexts{"\"a\"", "\"b\"", "\"ab\"", "\"\"", "\"ba\""};
        std::string out;
        const unsigned kind = pick(depth > 0 ? 10 : 7);
        if (kind < 4) {
            out = kTexts[pick(kTexts.size())];
        } else if (kind < 7) {
            out = std::array{"root", "x", "y", "z"}[pick(4)];
        } else {
            out = "(" + self(self, depth - 1) + (kind == 7 ? " " : " | ") + self(self, depth - 1) + ")";
        }
        return out + kRepeats[pick(kRepeats.size())];
    };
    std::string gbnf;
    for (const char* name : {"root", "x", "y", "z"}) {
        gbnf += std::string(name) + " ::=";
        for (unsigned n = 1 + pick(3); n > 0; --n) {
            for (unsigned m = 1 + pick(3); m > 0; --m) gbnf += " " + item(item, 2);
            if (n > 1) gbnf += " |";
        }
        gbnf += "\n";
    }
    return gbnf;
}

std::vector<std::string> all_texts(std::size_t longest) {
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; texts[i].size() < longest; ++i) {
        texts.push_back(texts[i] + "a");
        texts.push_back(texts[i] + "b");
    }
    return texts;
}

TEST(Matcher, TakesWhatTryingEverythingTakes) {
    const std::vector<std::string> texts = all_texts(6);
    std::mt19937 random(7);
    int n_grammars = 0;
    int n_mixed = 0;
    for (int i = 0; i < 4000; ++i) {
        const std::string gbnf = random_grammar(random);
        const auto automaton = automaton_of(gbnf);
        if (automaton == nullptr) continue;  // begins with itself, or has no text
        ++n_grammars;
        Matcher matcher(automaton);
        Work work{100'000'000};
        Matcher::Position start = matcher.start(work);
        int n_taken = 0;
        const Rules rules = read_gbnf(gbnf).value();
        for (const std::string& text : texts) {
            if (random() % 4 != 0) continue;
            if (random() % 64 == 0) start = matcher.forget_all_but(start);
            const Matcher::Position at = matcher.walk(start, text, work);
            ASSERT_NE(at, Matcher::kTooDear);
            const bool taken = at >= 0 && matcher.may_end(at);
            ASSERT_EQ(taken, SlowMatcher(rules, text).matches()) << gbnf << "and \"" << text << '"';
            n_taken += taken ? 1 : 0;
        }
        n_mixed += n_taken > 0 && n_taken < 25 ? 1 : 0;
    }
    EXPECT_GT(n_grammars, 200);
    EXPECT_GT(n_mixed, 50) << "hardly any tells texts apart: the test shows nothing";
}

/// A text that is alive can be brought to an end: what leads nowhere is not entered.
TEST(Matcher, LeadsNowhereThatHasNoEnd) {
    Matcher matcher(automaton_of("root ::= \"a\" dead | \"b\"\ndead ::= \"x\" dead"));
    Work work{1000};
    const Matcher::Position start = matcher.start(work);
    EXPECT_EQ(matcher.step(start, 'a', work), Matcher::kDead);
    EXPECT_TRUE(matcher.may_end(matcher.step(start, 'b', work)));
}

TEST(Matcher, SaysWhenItIsTooDearAndGoesOnWithMore) {
    Matcher matcher(automaton_of("root ::= s\ns ::= \"a\" s s s | \"a\" s s | \"a\"\n"));
    Work plenty{100'000'000};
    const Matcher::Position start = matcher.start(plenty);
    Work little{300};
    EXPECT_EQ(matcher.walk(start, std::string(60, 'a'), little), Matcher::kTooDear);
    EXPECT_GE(matcher.walk(start, std::string(60, 'a'), plenty), 0);
    const std::atomic<bool> cancelled = true;
    Work ended{100'000'000, &cancelled};
    EXPECT_EQ(matcher.walk(start, std::string(61, 'a'), ended), Matcher::kTooDear);
}

/// Units of work for `text`, which is taken.
std::int64_t cost_of(const std::string& gbnf, const std::string& text) {
    constexpr std::int64_t kPlenty = 1'000'000'000;
    Matcher matcher(automaton_of(gbnf));
    Work work{kPlenty};
    EXPECT_GE(matcher.walk(matcher.start(work), text, work), 0) << gbnf.substr(0, 80);
    return kPlenty - work.left;
}

TEST(Matcher, HostileGrammarsCostTheirSizeABydeAndNotItsPowers) {
    std::string optional_letters = "root ::=";
    for (int i = 0; i < 300; ++i) optional_letters += " [a-zA-Z ,.]?";
    EXPECT_LT(cost_of(optional_letters, std::string(300, 'x')), 300 * 300 * 4);
    EXPECT_LT(cost_of("root ::= ((\"a\"?){50}){50}", std::string(2500, 'a')), 2500 * 10);
    EXPECT_LT(cost_of("root ::= (\"a\"? \"a\"? \"a\"?){60} \"a\"{0,60}", std::string(240, 'a')), 240 * 1000);
    EXPECT_LT(cost_of("root ::= s\ns ::= \"a\" s s | \"\"", std::string(100, 'a')), 100 * 10'000);
    std::string nested = "root ::= \"a\"";
    for (int i = 0; i < 30; ++i) nested = "root ::= (" + nested.substr(9) + "?)*";
    EXPECT_LT(cost_of(nested, std::string(100, 'a')), 100 * 100);
}

/// What a list in a document costs does not grow with the document.
TEST(Matcher, EqualPlacesAreOne) {
    Matcher matcher(automaton_of("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [0-9]+"));
    Work work{1'000'000};
    std::string text = "[[";
    for (int i = 0; i < 1000; ++i) text += "[1,23],";
    EXPECT_GE(matcher.walk(matcher.start(work), text, work), 0);
    EXPECT_LT(matcher.n_positions(), 30);
    EXPECT_GT(work.left, 990'000);
}

}  // namespace
}  // namespace sutazai::grammar
