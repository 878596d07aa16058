#include "fetch/source.h"

#include <gtest/gtest.h>

#include "fetch/places.h"

namespace sutazai::fetch {
namespace {

TEST(Source, NamesAreOllamas) {
    const auto plain = parse_source("qwen2.5:3b");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->kind, Source::Kind::kRegistry);
    EXPECT_EQ(plain->name.full(), "registry.ollama.ai/library/qwen2.5:3b");
    EXPECT_EQ(parse_source("localhost:5000/me/tiny")->name.full(), "localhost:5000/me/tiny:latest");
    EXPECT_EQ(parse_source("https://host/me/tiny:x")->name.full(), "host/me/tiny:x");
}

TEST(Source, HuggingFaceHasOneName) {
    for (const char* const text :
         {"hf.co/org/Repo-GGUF:Q8_0", "huggingface.co/org/Repo-GGUF:Q8_0", "HF.co/org/Repo-GGUF:Q8_0"}) {
        const auto source = parse_source(text);
        ASSERT_TRUE(source) << text;
        EXPECT_EQ(source->kind, Source::Kind::kHuggingFace);
        EXPECT_EQ(source->name.full(), "hf.co/org/Repo-GGUF:Q8_0");
        EXPECT_TRUE(source->has_tag);
    }
    EXPECT_FALSE(parse_source("hf.co/org/repo")->has_tag);
    EXPECT_EQ(parse_source("hf.co/org/repo")->name.tag, "latest");
}

TEST(Source, FilesAreNamedAfterThemselves) {
    const auto file = parse_source("https://host.example/a%20b/My%20Model-Q4.GGUF?sig=1");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->kind, Source::Kind::kFile);
    EXPECT_EQ(file->name.shortest(), "My-20Model-Q4:latest");
    EXPECT_EQ(file->url.query, "sig=1");
    EXPECT_EQ(parse_source("https://host.example/x.gguf", "mine:v1")->name.shortest(), "mine:v1");
    EXPECT_EQ(parse_source("https://host.example/(((.gguf").error().field, "model");
    EXPECT_TRUE(parse_source("https://host.example/(((.gguf", "mine"));
    EXPECT_EQ(parse_source("tiny", "mine").error().field, "as");
    EXPECT_EQ(parse_source("https://host.example/x.gguf", "a/b/c/d").error().field, "as");
}

TEST(Source, OthersAreNone) {
    for (const char* const text :
         {"", "/", "a/b/c/d", "../x", "x:y:z", "https://host.example/x.bin?a=.gguf", "https://user@host/x.gguf",
          "https://host.gguf?c", "ftp://host/x.gguf", "a b", "hf.co/x"}) {
        const auto source = parse_source(text);
        if (std::string_view(text) == "hf.co/x") {
            EXPECT_EQ(source->kind, Source::Kind::kRegistry) << "a namespace like any other";
            continue;
        }
        EXPECT_FALSE(source) << text;
    }
}

TEST(Place, IsTheHostOrItsMirror) {
    Access access;
    access.mirrors = *parse_mirrors({"registry.ollama.ai=http://127.0.0.1:5000", "hf.co=https://hub.lan"});
    EXPECT_EQ(place_of(access, *parse_source("tiny"), Direction::kPull)->text(), "http://127.0.0.1:5000/");
    EXPECT_EQ(place_of(access, *parse_source("tiny"), Direction::kPush)->text(), "https://registry.ollama.ai/");
    EXPECT_EQ(place_of(access, *parse_source("huggingface.co/a/b"), Direction::kPull)->text(), "https://hub.lan/");
    EXPECT_EQ(place_of({}, *parse_source("hf.co/a/b"), Direction::kPull)->text(), "https://huggingface.co/");
    access.insecure = true;
    EXPECT_EQ(place_of(access, *parse_source("h:5000/a/b"), Direction::kPull)->text(), "http://h:5000/");
}

}  // namespace
}  // namespace sutazai::fetch
