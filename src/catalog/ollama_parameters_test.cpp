#include "catalog/ollama_parameters.h"

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

#include <string>

#include "catalog/ollama_layers.h"

namespace sutazai::catalog {
namespace {

namespace json = boost::json;

std::string kept(std::string_view name, std::string_view text) {
    const auto value = parse_ollama_parameter(name, text);
    return value ? json::serialize(*value) : "refused: " + value.error().message;
}

TEST(OllamaParameters, AreKeptAsTheyAreMeant) {
    EXPECT_EQ(kept("temperature", "0.5"), "5E-1");
    EXPECT_EQ(kept("temperature", "1"), "1");
    EXPECT_EQ(kept("num_ctx", "4096"), "4096");
    EXPECT_EQ(kept("top_k", "40.0"), "40");
    EXPECT_EQ(kept("seed", "-1"), "-1");
    EXPECT_EQ(kept("num_predict", "-1"), "-1");
    EXPECT_EQ(kept("stop", "42"), R"(["42"])") << "a text whatever it looks like";
    EXPECT_EQ(kept("num_gpu", "99"), "99");
    EXPECT_EQ(kept("use_mmap", "false"), "false");
    EXPECT_EQ(kept("repeat_last_n", "64"), "64");
}

TEST(OllamaParameters, AreRefusedByNameAndRange) {
    for (const auto& [name, text] : {std::pair("temperature", "2.1"),
                                     std::pair("temperature", "-0.1"),
                                     std::pair("temperature", "warm"),
                                     std::pair("temperature", "nan"),
                                     std::pair("temperature", ""),
                                     std::pair("top_p", "0"),
                                     std::pair("top_k", "1.5"),
                                     std::pair("top_k", "-1"),
                                     std::pair("top_k", "99999999999999999999"),
                                     std::pair("num_ctx", "0"),
                                     std::pair("num_ctx", "16777217"),
                                     std::pair("num_predict", "0"),
                                     std::pair("num_predict", "-3"),
                                     std::pair("stop", ""),
                                     std::pair("mirostat", "1"),
                                     std::pair("typical_p", "0.7"),
                                     std::pair("repeat_last_n", "128"),
                                     std::pair("num_gpu", "all"),
                                     std::pair("made_up", "1"),
                                     std::pair("", "1")}) {
        const auto value = parse_ollama_parameter(name, text);
        ASSERT_FALSE(value) << name << " " << text;
        EXPECT_EQ(value.error().field, std::string("parameters.") + name);
        EXPECT_NE(value.error().message.find(name), std::string::npos);
    }
    EXPECT_NE(kept("temperature", "3").find("at most 2"), std::string::npos);
}

TEST(OllamaParameters, AStopIsOneMoreAndOthersReplace) {
    json::object all;
    ASSERT_TRUE(add_ollama_parameter(all, "stop", "one"));
    ASSERT_TRUE(add_ollama_parameter(all, "stop", "two"));
    ASSERT_TRUE(add_ollama_parameter(all, "top_k", "1"));
    ASSERT_TRUE(add_ollama_parameter(all, "top_k", "2"));
    EXPECT_EQ(json::serialize(all), R"({"stop":["one","two"],"top_k":2})");
    EXPECT_EQ(parameter_lines(all, "PARAMETER "),
              "PARAMETER stop \"one\"\nPARAMETER stop \"two\"\nPARAMETER top_k 2\n");
    for (int i = 0; i < 62; ++i) ASSERT_TRUE(add_ollama_parameter(all, "stop", "more"));
    EXPECT_FALSE(add_ollama_parameter(all, "stop", "too many"));
}

TEST(OllamaParameters, WhatIsKeptIsWhatTheCatalogueReads) {
    json::object all;
    for (const auto& [name, text] :
         {std::pair("temperature", "0.25"), std::pair("top_k", "7"), std::pair("num_ctx", "4096"),
          std::pair("num_predict", "9"), std::pair("seed", "5"), std::pair("stop", "a"), std::pair("min_p", "0.1")}) {
        ASSERT_TRUE(add_ollama_parameter(all, name, text));
    }
    ModelProfile profile;
    ASSERT_TRUE(take_ollama_params(json::serialize(all), profile));
    EXPECT_EQ(profile.request.temperature, 0.25F);
    EXPECT_EQ(profile.request.top_k, 7);
    EXPECT_EQ(profile.load.least_context_tokens, 4096U);
    EXPECT_EQ(profile.request.max_tokens, 9);
    EXPECT_EQ(profile.request.seed, 5U);
    EXPECT_EQ(profile.request.stop, std::vector<std::string>{"a"});
    EXPECT_EQ(profile.request.min_p, 0.1F);
}

}  // namespace
}  // namespace sutazai::catalog
