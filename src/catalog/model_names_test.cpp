#include "catalog/model_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "catalog/catalog.h"

namespace sutazai::catalog {
namespace {

std::map<std::string, std::string> names(const std::vector<std::string>& files) {
    std::map<std::string, std::string> out;
    for (const NamedFile& named : name_files(files)) out[named.file] = named.name;
    return out;
}

using Names = std::map<std::string, std::string>;

TEST(NamesOfFiles, BecomeValidOnes) {
    EXPECT_EQ(name_from("Llama 3 (8B)"), "Llama-3-8B");
    EXPECT_EQ(name_from("a+b@c"), "a-b-c");
    EXPECT_EQ(name_from("  spaced  "), "spaced");
    EXPECT_EQ(name_from("v1..2"), "v1.2");
    EXPECT_EQ(name_from("-flag"), "flag");
    EXPECT_EQ(name_from(":tag"), "tag");
    EXPECT_EQ(name_from("caf\xC3\xA9-7b"), "caf-7b");
    EXPECT_EQ(name_from("\xE6\xA8\xA1\xE5\x9E\x8B"), "");
    EXPECT_EQ(name_from("x\n\xFFy"), "x-y");
}

TEST(NamesOfFiles, AGoodNameStays) {
    EXPECT_EQ(names({"qwen2.5:3b.gguf", "A_b-C.gguf", "notes.txt", ".hidden.gguf", "gguf", ".gguf"}),
              (Names{{"qwen2.5:3b.gguf", "qwen2.5:3b"}, {"A_b-C.gguf", "A_b-C"}}));
    EXPECT_TRUE(name_files({"a.gguf"}).front().note.empty());
}

TEST(NamesOfFiles, CapitalLettersAreAnExtensionToo) {
    EXPECT_EQ(names({"a.GGUF", "b.Gguf"}), (Names{{"a.GGUF", "a"}, {"b.Gguf", "b"}}));
}

TEST(NamesOfFiles, APartStandsForItsModelOnce) {
    EXPECT_EQ(names({"big-00002-of-00003.gguf", "big-00001-of-00003.gguf", "big-00003-of-00003.gguf"}),
              (Names{{"big-00001-of-00003.gguf", "big"}}));
    EXPECT_EQ(names({"big-00002-of-00003.gguf"}), (Names{{"big-00001-of-00003.gguf", "big"}}))
        << "also when the first one is missing";
}

TEST(NamesOfFiles, WhatIsCalledSoKeepsItsName) {
    const auto got =
        names({"my-model.gguf", "my model.gguf", "my+model.gguf", "my-model.GGUF", "my-model-00001-of-00002.gguf"});
    EXPECT_EQ(got.at("my-model.gguf"), "my-model");
    std::set<std::string> all;
    for (const auto& [file, name] : got) {
        EXPECT_TRUE(is_valid_model_name(name)) << name;
        EXPECT_TRUE(name.starts_with("my-model")) << name;
        all.insert(name);
    }
    EXPECT_EQ(all.size(), 5U);
}

TEST(NamesOfFiles, OfTwoThatOnlyBecomeANameNeitherGetsIt) {
    const auto got = name_files({"a b.gguf", "a+b.gguf"});
    for (const NamedFile& named : got) {
        EXPECT_NE(named.name, "a-b");
        EXPECT_NE(named.note.find("another file has the name \"a-b\""), std::string::npos) << named.note;
    }
    EXPECT_NE(got[0].name, got[1].name);
    EXPECT_EQ(names({"a b.gguf", "a+b.gguf", "other.gguf"}).at("a b.gguf"), got[0].name) << "whatever else is there";
}

TEST(NamesOfFiles, NothingIsDropped) {
    const auto got = names({"\xE6\xA8\xA1\xE5\x9E\x8B.gguf", "\xE6\x95\xB0.gguf", std::string(199, 'x') + ".gguf",
                            std::string(250, 'x') + ".gguf", std::string(251, 'x') + ".gguf"});
    EXPECT_EQ(got.size(), 5U);
    EXPECT_TRUE(got.at("\xE6\xA8\xA1\xE5\x9E\x8B.gguf").starts_with("model-"));
    EXPECT_EQ(got.at(std::string(199, 'x') + ".gguf"), std::string(199, 'x'));
}

TEST(NamesOfFiles, AreAllValidAndDistinct) {
    std::mt19937 random(20260101);
    const std::string alphabet = "aB1-._: +(\xC3\xA9";
    for (int round = 0; round < 200; ++round) {
        std::set<std::string> files;
        for (int i = 0; i < 30; ++i) {
            std::string file;
            for (std::size_t n = random() % 4 + 1; n > 0; --n) file += alphabet[random() % alphabet.size()];
            if (file.front() != '.') files.insert(file + (random() % 4 == 0 ? ".GGUF" : ".gguf"));
        }
        const auto got = name_files({files.begin(), files.end()});
        EXPECT_EQ(got.size(), files.size()) << "round " << round;
        std::set<std::string> distinct;
        for (const NamedFile& named : got) {
            EXPECT_TRUE(is_valid_model_name(named.name)) << "round " << round << ": " << named.name;
            distinct.insert(named.name);
            const bool is_its_own = named.name + ".gguf" == named.file || named.name + ".GGUF" == named.file;
            EXPECT_EQ(named.note.empty(), is_its_own) << "round " << round << ": " << named.file;
        }
        EXPECT_EQ(distinct.size(), files.size()) << "round " << round;
    }
}

}  // namespace
}  // namespace sutazai::catalog
