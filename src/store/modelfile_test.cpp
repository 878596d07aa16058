#include "store/modelfile.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <random>

#include "catalog/ollama_parameters.h"

namespace sutazai::store {
namespace {

using Texts = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

ModelRecipe parsed(std::string_view text) {
    auto recipe = parse_modelfile(text);
    EXPECT_TRUE(recipe) << recipe.error().message;
    return recipe ? *recipe : ModelRecipe();
}
std::string refused(std::string_view text) {
    const auto recipe = parse_modelfile(text);
    EXPECT_FALSE(recipe) << text;
    if (recipe) return "";
    EXPECT_EQ(recipe.error().code, ErrorCode::kInvalidArgument);
    return recipe.error().message;
}

TEST(Modelfile, IsReadAsOllamaReadsIt) {
    const ModelRecipe recipe = parsed(R"(# a comment
FROM qwen2.5:3b
  parameter temperature 0.5
PARAMETER stop "<|end|>"
Parameter stop	AI:
PARAMETER num_ctx 4096

TEMPLATE """{{ if .System }}<|system|>
{{ .System }}{{ end }}
# no comment
{{ .Prompt }}"""
SYSTEM You are "helpful".
LICENSE """
MIT
"""
license Apache
MESSAGE user Is "Toronto" in Canada?
MESSAGE assistant "yes"
MESSAGE User """two
lines"""
)");
    EXPECT_EQ(recipe.from, "qwen2.5:3b");
    EXPECT_EQ(boost::json::serialize(recipe.parameters),
              R"({"temperature":5E-1,"stop":["<|end|>","AI:"],"num_ctx":4096})");
    EXPECT_EQ(recipe.chat_template, "{{ if .System }}<|system|>\n{{ .System }}{{ end }}\n# no comment\n{{ .Prompt }}");
    EXPECT_EQ(recipe.system, "You are \"helpful\".");
    EXPECT_EQ(recipe.licenses, (Texts{"\nMIT\n", "Apache"}));
    EXPECT_EQ(recipe.messages,
              (Pairs{{"user", "Is \"Toronto\" in Canada?"}, {"assistant", "yes"}, {"user", "two\nlines"}}));
}

TEST(Modelfile, TextsMayHoldAnyQuotes) {
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\"\nsay \"\"\"\nnow\n\"\"\"\"\nLICENSE b").system, "say \"\"\"\nnow");
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\"Hi\" he said\"\"\"").system, "\"Hi\" he said") << "as Ollama has it";
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\"\nx\"\"\"").system, "\"\nx") << "there is no line like the first";
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\"\"\"\nLICENSE b").system, "");
    EXPECT_NE(refused("FROM a\nSYSTEM \"\"\"\"\n\nx\n\"\"\"\"\nBAD x").find("line 6"), std::string::npos);
}

TEST(Modelfile, IsWrittenAsItIsRead) {
    std::mt19937 random(20261126);
    const auto text = [&] {
        constexpr std::string_view kLetters = "\"\"\"\"\n\r \ta#";
        std::string out;
        for (unsigned n = 1 + random() % 20; n > 0; --n) out += kLetters[random() % kLetters.size()];
        return out;
    };
    for (int i = 0; i < 20'000; ++i) {
        ModelRecipe recipe{.from = "a:b",
                           .adapter_files = {"/x.gguf"},
                           .chat_template = text(),
                           .system = text(),
                           .licenses = {text(), text()},
                           .messages = {{"user", text()}, {"assistant", text()}}};
        recipe.parameters = {{"temperature", 0.5}, {"top_k", 40}, {"stop", {text(), text()}}, {"num_ctx", 4096}};
        const std::string written = to_modelfile(recipe);
        const auto read = parse_modelfile(written);
        ASSERT_TRUE(read) << written << read.error().message;
        ASSERT_EQ(*read, recipe) << written;
    }
    EXPECT_EQ(to_modelfile({.from = "a", .system = "S \"x\"", .messages = {{"user", "Hi"}}}),
              "FROM a\nSYSTEM \"\"\"S \"x\"\"\"\"\nMESSAGE user \"\"\"Hi\"\"\"\n");
}

TEST(Modelfile, LineEndsAndMarksMakeNoDifference) {
    EXPECT_EQ(parsed("FROM a").from, "a");
    EXPECT_EQ(parsed("from a \t\r\nsystem b\r\n").system, "b");
    EXPECT_EQ(parsed("FROM a \t\r\nsystem b\r\n").from, "a");
    EXPECT_EQ(parsed("\xEF\xBB\xBF\n\n\tFROM \"./my model.gguf\"\n").from, "./my model.gguf");
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"\"\"\"\n").system, "");
    EXPECT_EQ(parsed("FROM a\nSYSTEM").system, "");
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"over\ntwo lines\"\nPARAMETER top_k 1").system, "over\ntwo lines");
    EXPECT_EQ(parsed("FROM a\nSYSTEM \"\"\"say \"\"\"hi\"\"\" twice\"\"\"\n").system, "say \"\"\"hi\"\"\" twice");
    EXPECT_EQ(parsed("FROM a\nREQUIRES 0.14.0\n").from, "a");
}

TEST(Modelfile, SaysWhichLineIsWrong) {
    EXPECT_EQ(refused("FROM a\n\n# c\nFRM b\n").substr(0, 24), "line 4 of the Modelfile:");
    EXPECT_EQ(refused("FROM a\nSYSTEM \"\"\"x\ny\nz\"\"\"\nPARAMETER made_up 1\n"),
              "line 5 of the Modelfile: parameter made_up is not known");
    EXPECT_NE(refused("FROM a\nPARAMETER temperature 3").find("at most 2"), std::string::npos);
    EXPECT_EQ(parse_modelfile("FROM a\nPARAMETER temperature 3").error().field, "parameters.temperature");
    EXPECT_NE(refused("FROM a\nPARAMETER\n").find("needs a name"), std::string::npos);
    EXPECT_NE(refused("FROM a\nSYSTEM \"\"\"never\nclosed\n").find("line 2 of the Modelfile: the closing \"\"\""),
              std::string::npos);
    EXPECT_NE(refused("FROM a\nSYSTEM \"never closed").find("closing \""), std::string::npos);
    EXPECT_NE(refused("FROM a\nMESSAGE robot hi").find("role"), std::string::npos);
    EXPECT_NE(refused("FROM a\nFROM b").find("second FROM"), std::string::npos);
    EXPECT_NE(refused("FROM\n").find("FROM needs"), std::string::npos);
    EXPECT_NE(refused("").find("no FROM"), std::string::npos);
    EXPECT_NE(refused("SYSTEM x").find("no FROM"), std::string::npos);
    EXPECT_NE(refused(std::string("FROM a\n\0", 8)).find("no text"), std::string::npos);
}

TEST(Modelfile, WhatIsNotBuiltIsRefusedByName) {
    for (const char* name : {"DRAFT", "RENDERER", "PARSER"}) {
        EXPECT_NE(refused(std::string("FROM a\n") + name + " ./x\n").find(name), std::string::npos);
    }
}

TEST(Modelfile, AdaptersAreFiles) {
    EXPECT_EQ(parse_modelfile("FROM a\nADAPTER ./x.gguf\nadapter \"y z.gguf\"\n")->adapter_files,
              (std::vector<std::string>{"./x.gguf", "y z.gguf"}));
    EXPECT_NE(refused("FROM a\nADAPTER\n").find("ADAPTER needs the path"), std::string::npos);
}

TEST(Modelfile, KnowsPathsFromNames) {
    for (const char* path : {"/a/b.gguf", "./a", "../a", "~/a", "a.gguf", "b/c.GGUF", "."}) {
        EXPECT_TRUE(is_file_path(path)) << path;
    }
    for (const char* name : {"qwen2.5:3b", "a/b", "hf.co/a/b:Q4_K_M", "llama3"})
        EXPECT_FALSE(is_file_path(name)) << name;
}

}  // namespace
}  // namespace sutazai::store
