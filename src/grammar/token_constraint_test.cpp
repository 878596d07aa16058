// Tokens held to a grammar: the set of all that may come is what asking for each says.
#include "grammar/token_constraint.h"

#include <gtest/gtest.h>

#include <random>

#include "grammar/gbnf.h"

namespace sutazai::grammar {
namespace {

using Answer = TokenConstraint::Answer;

std::shared_ptr<const Automaton> automaton_of(std::string_view gbnf) {
    const TokenNamed named = [](std::string_view name) -> std::optional<std::int32_t> {
        if (name == "<|end|>") return 0;
        return std::nullopt;
    };
    Work work{100'000'000};
    return std::make_shared<const Automaton>(Automaton::of(read_gbnf(gbnf, named).value(), work).value());
}

/// Every byte but 0, words of up to six letters, some of them twice, and tokens without a text.
TokenTrie make_trie() {
    std::vector<std::string> texts{""};
    for (int byte = 1; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    std::mt19937 random(3);
    for (int i = 0; i < 2000; ++i) {
        std::string word;
        for (unsigned n = random() % 7; n > 0; --n) word += "abc ,.\xc3\xa9\"{}:1"[random() % 14];
        texts.push_back(word);
    }
    return TokenTrie(std::move(texts));
}

void expect_set_is_what_each_says(std::string_view gbnf) {
    const TokenTrie trie = make_trie();
    TokenConstraint constraint(automaton_of(gbnf), trie);
    Work work{1'000'000'000};
    ASSERT_TRUE(constraint.start(work));
    std::mt19937 random(11);
    for (int step = 0; step < 40; ++step) {
        std::vector<bool> each(trie.size());
        std::vector<std::int32_t> taken;
        for (std::size_t i = 0; i < trie.size(); ++i) {
            const auto token = static_cast<std::int32_t>(i);
            each[i] = constraint.allows(token, work) == Answer::kYes;
            if (each[i]) taken.push_back(token);
        }
        const std::vector<bool>* set = constraint.allowed(work);
        ASSERT_NE(set, nullptr);
        ASSERT_EQ(*set, each) << gbnf << " after " << step;
        if (taken.empty()) {
            EXPECT_TRUE(constraint.may_end()) << gbnf;
            break;
        }
        const std::int32_t next = taken[random() % taken.size()];
        for (std::size_t i = 0; i < trie.size(); i += 7) {
            if (!each[i]) {
                ASSERT_EQ(constraint.accept(static_cast<std::int32_t>(i), work), Answer::kNo);
            }
        }
        ASSERT_EQ(constraint.accept(next, work), Answer::kYes);
    }
}

TEST(TokenConstraint, TheSetIsWhatAskingForEachSays) {
    expect_set_is_what_each_says("root ::= [a-c ,.]{0,300}");
    expect_set_is_what_each_says("root ::= ([a-c\u00e9]+ | \"1\" root \"1\")*");
    expect_set_is_what_each_says("root ::= v\nv ::= \"{\" (v (\",\" v)*)? \"}\" | \"\\\"\" [^\"]* \"\\\"\"");
    expect_set_is_what_each_says("root ::= \"a\" <[300]> \"b\"* (<|end|> | !<[97]>) \"c\"*");
    expect_set_is_what_each_says("root ::= \"abc\"");
}

TEST(TokenConstraint, TokensByNumberAreNoText) {
    const TokenTrie trie({"", "a", "b", "ab"});
    TokenConstraint constraint(automaton_of("root ::= <|end|> \"a\" !<[3]>"), trie);
    Work work{10'000};
    ASSERT_TRUE(constraint.start(work));
    EXPECT_EQ(*constraint.allowed(work), (std::vector<bool>{true, false, false, false}));
    ASSERT_EQ(constraint.accept(0, work), Answer::kYes);
    EXPECT_EQ(*constraint.allowed(work), (std::vector<bool>{false, true, false, false}));
    ASSERT_EQ(constraint.accept(1, work), Answer::kYes);
    EXPECT_EQ(*constraint.allowed(work), (std::vector<bool>{false, true, true, false})) << "a token without a text";
    EXPECT_FALSE(constraint.may_end());
    ASSERT_EQ(constraint.accept(2, work), Answer::kYes);
    EXPECT_TRUE(constraint.may_end());
}

TEST(TokenConstraint, WhatIsTooDearChangesNothing) {
    const TokenTrie trie = make_trie();
    TokenConstraint constraint(automaton_of("root ::= [a-c ,.]{0,300}"), trie);
    Work nothing{0};
    EXPECT_FALSE(constraint.start(nothing));
    Work plenty{10'000'000};
    ASSERT_TRUE(constraint.start(plenty));
    int tries = 0;
    const std::vector<bool>* set = nullptr;
    while (set == nullptr && tries < 10'000) {
        Work little{200};
        set = constraint.allowed(little);
        ++tries;
    }
    ASSERT_NE(set, nullptr) << "what was found out is kept";
    EXPECT_GT(tries, 1);
    EXPECT_TRUE((*set)['a']);
    EXPECT_FALSE((*set)['x']);
}

/// A long text in an ambiguous grammar: memory is given back on the way.
TEST(TokenConstraint, LongTextsStayWithinTheirMemory) {
    const TokenTrie trie = make_trie();
    TokenConstraint constraint(automaton_of("root ::= ([a-c] [a-z ]{0,40}){0,4000}"), trie, 64'000);
    Work work{4'000'000'000};
    ASSERT_TRUE(constraint.start(work));
    for (int i = 0; i < 500; ++i) ASSERT_EQ(constraint.accept('a', work), Answer::kYes) << i;
    EXPECT_EQ(constraint.accept('1', work), Answer::kNo);
    EXPECT_TRUE(constraint.may_end());
}

}  // namespace
}  // namespace sutazai::grammar
