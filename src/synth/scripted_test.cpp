#include "synth/scripted.h"

#include <gguf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

namespace sutazai::synth {
namespace {

struct Scripted : testing::Test {
    // Tests run side by side, each in a process of its own.
    std::filesystem::path path =
        std::filesystem::path(testing::TempDir()) / ("scripted-" + std::to_string(::getpid()) + ".gguf");
    void TearDown() override { std::filesystem::remove(path); }
};

TEST_F(Scripted, IsWrittenInEachDialect) {
    for (const std::string_view dialect : scripted_dialects()) {
        const auto done = write_scripted({std::string(dialect), R"({"a": ["one", " two"]})", path});
        ASSERT_TRUE(done) << done.error().message;
        const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(
            gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
        ASSERT_NE(file, nullptr) << dialect;
        const std::int64_t key = gguf_find_key(file.get(), "tokenizer.chat_template");
        EXPECT_NE(std::string(gguf_get_val_str(file.get(), key)).find("<go:a>"), std::string::npos);
    }
}

TEST_F(Scripted, CutsAPieceThatComesAgain) {
    ASSERT_TRUE(write_scripted({"chatml", R"({"a": ["word", "word"], "b": ["word"]})", path}));
    const auto one = write_scripted({"chatml", R"({"a": ["x", "x"]})", path});
    ASSERT_FALSE(one);
    EXPECT_EQ(one.error().field, "scripts");
}

TEST_F(Scripted, SaysWhatIsWrong) {
    const auto error_of = [&](const char* scripts) {
        const auto done = write_scripted({"chatml", scripts, path});
        return done ? std::string() : done.error().message;
    };
    EXPECT_EQ(error_of("["), R"(scripts must be a JSON object: {"key": ["piece", ...]})");
    EXPECT_EQ(error_of(R"({"a": []})"), "the script 'a' must be a list of pieces");
    EXPECT_EQ(error_of(R"({"a'": ["x"]})"), "the script 'a'' must have a name of letters, digits, - and _");
    EXPECT_EQ(error_of(R"({"a": ["x", {"back": 2}]})"),
              "the script 'a' may have {\"back\": n} only in the end, with an n up to its number of tokens");
    const auto done = write_scripted({"latin", R"({"a": ["x"]})", path});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "dialect is 'latin'; it must be one of chatml, think, llama3, mistral, gpt-oss");
}

}  // namespace
}  // namespace sutazai::synth
