#include "text/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sutazai::text {
namespace {

struct Outcome {
    std::string text;
    bool matched = false;

    bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << '"' << outcome.text << "\" " << (outcome.matched ? "matched" : "not matched");
}

// The reference: after each byte, look at the whole text.
Outcome reference(std::string_view text, const std::vector<std::string>& stops) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
        std::size_t longest = 0;
        for (const std::string& stop : stops) {
            if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
        }
        if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
    }
    return {std::string(text), false};
}

// What may be out after `text`, if nothing matched.
std::string releasable(std::string_view text, const std::vector<std::string>& stops) {
    std::size_t held = 0;
    for (const std::string& stop : stops) {
        for (std::size_t n = 1; n < stop.size(); ++n) {
            if (text.ends_with(std::string_view(stop).substr(0, n))) held = std::max(held, n);
        }
    }
    return std::string(text.substr(0, text.size() - held));
}

// Bit i of `cuts` cuts before byte i + 1.
Outcome in_pieces(std::string_view text, const std::vector<std::string>& stops, unsigned cuts) {
    StopMatcher matcher(stops);
    Outcome outcome;
    std::size_t start = 0;
    for (std::size_t end = 1; end <= text.size(); ++end) {
        if (end < text.size() && (cuts >> (end - 1) & 1U) == 0) continue;
        const bool matched = matcher.push(text.substr(start, end - start), outcome.text);
        start = end;
        if (matched) {
            outcome.matched = true;
            matcher.push("more", outcome.text);
            matcher.finish(outcome.text);
            return outcome;
        }
        EXPECT_EQ(outcome.text, releasable(text.substr(0, end), stops)) << "after " << text.substr(0, end);
    }
    matcher.finish(outcome.text);
    return outcome;
}

std::vector<std::string> words(std::string_view alphabet, std::size_t longest) {
    std::vector<std::string> all{""};
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].size() == longest) break;
        for (const char letter : alphabet) all.push_back(all[i] + letter);
    }
    return all;
}

TEST(StopMatcher, WithoutStopsEverythingPassesAtOnce) {
    StopMatcher matcher;
    std::string out;
    EXPECT_FALSE(matcher.push("hello", out));
    EXPECT_EQ(out, "hello");
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStop) {
    StopMatcher matcher({"</end>"});
    std::string out;
    EXPECT_FALSE(matcher.push("text </e", out));
    EXPECT_EQ(out, "text ");
    EXPECT_FALSE(matcher.push("m> </en", out));
    EXPECT_EQ(out, "text </em> ");
    EXPECT_TRUE(matcher.push("d> rest", out));
    EXPECT_EQ(out, "text </em> ");
    EXPECT_TRUE(matcher.matched());
}

// Every pair of stops of up to three letters, every text of up to six, every way to cut it.
TEST(StopMatcher, AgreesWithTheReferenceHoweverTheTextIsCut) {
    const std::vector<std::string> stops = words("ab", 3);
    const std::vector<std::string> texts = words("ab", 6);
    for (std::size_t one = 1; one < stops.size(); ++one) {
        for (std::size_t two = one; two < stops.size(); ++two) {
            const std::vector<std::string> pair{stops[one], stops[two]};
            for (const std::string& text : texts) {
                const Outcome expected = reference(text, pair);
                const unsigned ways = text.size() < 2 ? 1 : 1U << (text.size() - 1);
                for (unsigned cuts = 0; cuts < ways; ++cuts) {
                    ASSERT_EQ(in_pieces(text, pair, cuts), expected)
                        << "stops " << pair[0] << ", " << pair[1] << ", text " << text << ", cuts " << cuts;
                    ASSERT_FALSE(testing::Test::HasFailure());
                }
            }
        }
    }
}

TEST(StopMatcher, AgreesWithTheReferenceOnLongerRandomTexts) {
    std::mt19937 random(20250126);
    const auto word = [&](std::size_t longest) {
        std::string text(1 + random() % longest, 'a');
        for (char& letter : text) letter = "abc"[random() % 3];
        return text;
    };
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::string> stops;
        for (unsigned n = 1 + random() % 4; n > 0; --n) stops.push_back(word(7));
        const std::string text = word(24);
        const unsigned cuts = random();
        ASSERT_EQ(in_pieces(text, stops, cuts), reference(text, stops)) << "round " << round;
        ASSERT_FALSE(testing::Test::HasFailure()) << "round " << round;
    }
}

TEST(StopMatcher, ReleasesWholeCharacters) {
    StopMatcher matcher({"è"});
    std::string out;
    EXPECT_FALSE(matcher.push("é", out));
    EXPECT_EQ(out, "é") << "shares its first byte with the stop, but is whole";
}

// Pieces that begin with '!' are hidden, without that sign.
Outcome with_hidden(const std::vector<std::string>& pieces, const std::vector<std::string>& stops,
                    const std::vector<std::string>& hidden_stops) {
    StopMatcher matcher(stops, hidden_stops);
    Outcome outcome;
    for (const std::string& piece : pieces) {
        const bool hidden = piece.starts_with('!');
        outcome.matched =
            hidden ? matcher.push_hidden(piece.substr(1), outcome.text) : matcher.push(piece, outcome.text);
        if (outcome.matched) return outcome;
    }
    matcher.finish(outcome.text);
    return outcome;
}

TEST(StopMatcher, AHiddenPieceMatchesTheStopsThatAreLookedForInAllThatIsGenerated) {
    const std::vector<std::string> stop{"<|end|>"};
    EXPECT_EQ(with_hidden({"ab", "!<|end|>", "cd"}, stop, stop), (Outcome{"ab", true}));
    EXPECT_EQ(with_hidden({"ab", "!<|end|>", "cd"}, stop, {}), (Outcome{"abcd", false}));
    EXPECT_EQ(with_hidden({"ab", "!<|other|>", "cd"}, stop, stop), (Outcome{"abcd", false}));
    EXPECT_EQ(with_hidden({"ab<|e", "nd|>cd"}, stop, stop), (Outcome{"ab", true})) << "written out it counts as before";
}

TEST(StopMatcher, AStopMayMixTextAndHiddenPieces) {
    const std::vector<std::string> stop{"foo<|end|>\n"};
    EXPECT_EQ(with_hidden({"a f", "oo", "!<|end|>", "\n", "b"}, stop, stop), (Outcome{"a ", true}));
    EXPECT_EQ(with_hidden({"a f", "oo", "!<|end|>", "b"}, stop, stop), (Outcome{"a foob", false}));
    EXPECT_EQ(with_hidden({"a fo", "!<|end|>", "o", "b"}, stop, stop), (Outcome{"a foob", false}));
    EXPECT_EQ(with_hidden({"f", "foo", "!<|end|>", "\n"}, stop, stop), (Outcome{"f", true}));
}

TEST(StopMatcher, HiddenPiecesDoNotHideAStopInTheText) {
    const std::vector<std::string> stops{"ab", "<|end|>"};
    EXPECT_EQ(with_hidden({"xa", "!<|other|>", "b"}, stops, {"<|end|>"}), (Outcome{"x", true}));
}

TEST(StopMatcher, WhatAHiddenPieceMayCompleteIsHeldAndThenReleased) {
    StopMatcher matcher({"ab<|x|>c"}, {"ab<|x|>c"});
    std::string out;
    EXPECT_FALSE(matcher.push("1ab", out));
    EXPECT_EQ(out, "1");
    EXPECT_FALSE(matcher.push_hidden("<|x|>", out));
    EXPECT_EQ(out, "1") << "the next may be the c";
    EXPECT_FALSE(matcher.push_hidden("<|x|>", out));
    EXPECT_EQ(out, "1") << "the next may be the stop's own characters";
    EXPECT_FALSE(matcher.push("c", out));
    EXPECT_EQ(out, "1abc");
}

TEST(StopMatcher, TellsWhichStopStringItWas) {
    StopMatcher stops({"nd", "end", "x"});
    std::string out;
    EXPECT_FALSE(stops.push("the e", out));
    EXPECT_EQ(stops.match(), "");
    EXPECT_TRUE(stops.push("nd", out));
    EXPECT_EQ(stops.match(), "end");
    EXPECT_EQ(out, "the ");
}

}  // namespace
}  // namespace sutazai::text
