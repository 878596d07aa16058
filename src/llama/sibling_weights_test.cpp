// Models that start from another one's repacked weights, against the same models by themselves.
#include "llama/sibling_weights.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "artifact/tensor_digests.h"
#include "gguf/outline.h"
#include "llama/model.h"
#include "synth/synth.h"

namespace sutazai::llama {
namespace {

namespace fs = std::filesystem;

class SiblingTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "sutazai-sibling-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override {
        std::error_code error;
        fs::remove_all(folder, error);
    }

    std::string make(const std::string& name, const std::string& inside) const {
        synth::SynthOptions options;
        options.name = inside;
        options.quantisation = "q4_0";
        options.output = folder / (name + ".gguf");
        EXPECT_TRUE(synth::synthesize(options).has_value());
        return options.output;
    }

    /// Writes other numbers into one tensor, as tuning it would.
    static void tune(const std::string& path, const std::string& name) {
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        const auto outline = gguf::read_outline(file, fs::file_size(path));
        ASSERT_TRUE(outline);
        const gguf::Tensor* tensor = outline->find_tensor(name);
        ASSERT_NE(tensor, nullptr);
        std::vector<char> bytes(tensor->bytes);
        file.seekg(static_cast<std::streamoff>(tensor->begin));
        file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        // A block of Q4_0 is a scale of two bytes, then 16 with two values each.
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            if (i % 18 >= 2) bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
        }
        file.seekp(static_cast<std::streamoff>(tensor->begin));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }

    std::unique_ptr<Model> load(const std::string& path, const Model* sibling = nullptr, bool share = true) const {
        LoadOptions options;
        options.path = path;
        options.context_tokens = 512;
        options.threads = 1;
        options.share_weights = share;
        options.artifacts_dir = folder / "artifacts";
        if (sibling != nullptr) options.siblings = {{::getpid(), sibling->properties().shared.fd, "first"}};
        auto model = Model::load(options, [](float) {});
        EXPECT_TRUE(model) << model.error().message;
        return model ? std::move(*model) : nullptr;
    }

    static std::vector<float> logits(Model& model) {
        const float* row = model.logits_after(0, 1, 5);
        return {row, row + model.properties().vocabulary};
    }

    void learn(const std::string& path) const {
        ASSERT_TRUE(artifact::keep_tensor_digests(folder / "artifacts", path));
    }
    static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(3100)); }

    fs::path folder;
};

TEST_F(SiblingTest, TheSameFileIsSharedAsItIs) {
    const std::string path = make("a", "a");
    const auto first = load(path);
    const auto& shared = first->properties().shared;
    if (shared.fd < 0) GTEST_SKIP() << "nothing is repacked at this level";
    EXPECT_TRUE(shared.sibling.empty());
    EXPECT_GT(shared.bytes, 0U);
    const auto second = load(path, first.get());
    EXPECT_EQ(second->properties().shared.sibling, "first");
    EXPECT_EQ(second->properties().shared.id, shared.id);
    EXPECT_EQ(second->properties().shared.bytes, shared.bytes);
    const auto alone = load(path, nullptr, false);
    EXPECT_EQ(alone->properties().shared.fd, -1);
    EXPECT_EQ(logits(*second), logits(*alone));

    // One that was started from another can be started from, also when that one is gone.
    auto third = load(path, second.get());
    EXPECT_EQ(third->properties().shared.id, shared.id);
    EXPECT_EQ(logits(*third), logits(*alone));
}

TEST_F(SiblingTest, AFineTuneTakesWhatIsTheSameByDigest) {
    const std::string base = make("base", "base");
    const std::string tuned = make("tuned", "tuned: a name of another length");
    tune(tuned, "blk.1.ffn_down.weight");
    settle();
    const auto first = load(base);
    const auto& shared = first->properties().shared;
    if (shared.fd < 0) GTEST_SKIP() << "nothing is repacked at this level";
    const auto unknown = load(tuned, first.get());
    EXPECT_TRUE(unknown->properties().shared.sibling.empty()) << "nobody knows yet what is the same";

    learn(base);
    EXPECT_TRUE(load(tuned, first.get())->properties().shared.sibling.empty()) << "of one file alone";
    learn(tuned);
    const auto second = load(tuned, first.get());
    EXPECT_EQ(second->properties().shared.sibling, "first");
    EXPECT_LT(second->properties().shared.bytes, shared.bytes);
    EXPECT_GT(second->properties().shared.bytes, shared.bytes / 2);
    const auto alone = load(tuned, nullptr, false);
    EXPECT_EQ(logits(*second), logits(*alone));
    EXPECT_NE(logits(*first), logits(*alone));
    EXPECT_EQ(logits(*first), logits(*load(base, nullptr, false)));
}

TEST_F(SiblingTest, AFileThatWasChangedSinceIsAnother) {
    const std::string path = make("a", "a");
    settle();
    learn(path);
    const auto first = load(path);
    if (first->properties().shared.fd < 0) GTEST_SKIP() << "nothing is repacked at this level";
    tune(path, "blk.0.ffn_up.weight");
    const auto second = load(path, first.get());
    EXPECT_TRUE(second->properties().shared.sibling.empty());
    EXPECT_EQ(logits(*second), logits(*load(path, nullptr, false)));
}

TEST_F(SiblingTest, WhatIsNoSiblingIsNotUsed) {
    const std::string path = make("a", "a");
    LoadOptions options;
    options.path = path;
    options.context_tokens = 512;
    options.threads = 1;
    options.share_weights = true;
    options.siblings = {{::getpid(), 0, "no weights"}, {::getpid(), 12345, "no file"}, {1 << 30, 3, "no process"}};
    const auto model = Model::load(options, [](float) {});
    ASSERT_TRUE(model);
    EXPECT_TRUE((*model)->properties().shared.sibling.empty());
}

}  // namespace
}  // namespace sutazai::llama
