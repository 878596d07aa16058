#include "catalog/hf_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;
using Named = std::vector<HfNamed>;

TEST(HfNames, TheQuantisationIsTheTag) {
    EXPECT_EQ(name_hf_files("org/repo", {"Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B-q4_k_m.gguf", "m.BF16.gguf",
                                         "mmproj-F16.gguf", "imatrix.gguf", "UD/x-IQ2_XXS-00002-of-00002.gguf"}),
              (Named{{"hf.co/org/repo:BF16", "m.BF16.gguf"},
                     {"hf.co/org/repo:Q8_0", "Qwen3-0.6B-Q8_0.gguf"},
                     {"hf.co/org/repo:Q4_K_M", "Qwen3-0.6B-q4_k_m.gguf"},
                     {"hf.co/org/repo:IQ2_XXS", "UD/x-IQ2_XXS-00001-of-00002.gguf"}}));
}

TEST(HfNames, OfSeveralTheShortestPathHasTheTag) {
    const Named wanted{{"hf.co/o/r:Q4_0", "a-Q4_0.gguf"},
                       {"hf.co/o/r:b-Q4_0", "b-Q4_0.gguf"},
                       {"hf.co/o/r:Qwen3-8B", "Qwen3-8B.gguf"},
                       {"hf.co/o/r:sub-b-Q4_0", "sub/b-Q4_0.gguf"}};
    const std::vector<std::string> files{"sub/b-Q4_0.gguf", "b-Q4_0.gguf", "Qwen3-8B.gguf", "a-Q4_0.gguf"};
    EXPECT_EQ(name_hf_files("o/r", files), wanted);
    EXPECT_EQ(name_hf_files("o/r", {files.rbegin(), files.rend()}), wanted) << "whatever order they come in";
    EXPECT_EQ(name_hf_files("o/r", {"\u6a21.gguf"}), (Named{{"hf.co/o/r:model", "\u6a21.gguf"}}));
}

TEST(HfNames, ManyFilesTakeTimeInProportion) {
    std::vector<std::string> files;
    for (int i = 0; i < 100'000; ++i) files.push_back("model-" + std::to_string(i) + ".gguf");
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(name_hf_files("org/repo", files).size(), files.size());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20)) << "minutes, once";
}

TEST(HfNames, ARepositoryStandsForItsUsualQuantisation) {
    EXPECT_EQ(hf_default({{"hf.co/o/r:Q2_K", "a"}, {"hf.co/o/r:Q8_0", "b"}, {"hf.co/o/r:Q4_K_M", "c"}}).file, "c");
    EXPECT_EQ(hf_default({{"hf.co/o/r:Q2_K", "a"}, {"hf.co/o/r:Q8_0", "b"}}).file, "b");
    EXPECT_EQ(hf_default({{"hf.co/o/r:Q2_K", "a"}, {"hf.co/o/r:F16", "b"}}).file, "a");
}

class HfCacheTest : public testing::Test {
  protected:
    void put(const std::string& repo, const std::string& revision, const std::string& file, const std::string& content,
             const std::string& digest) {
        const fs::path folder = root_ / repo;
        fs::create_directories(folder / "blobs");
        std::ofstream(folder / "blobs" / digest) << content;
        const fs::path link = folder / "snapshots" / revision / file;
        fs::create_directories(link.parent_path());
        fs::create_symlink(fs::relative(folder / "blobs" / digest, link.parent_path()), link);
    }
    void set_main(const std::string& repo, const std::string& revision) {
        fs::create_directories(root_ / repo / "refs");
        std::ofstream(root_ / repo / "refs/main") << revision;
    }
    HfFound scan() { return scan_hf_cache(root_.string(), {}); }

    TemporaryFolder temporary_;
    fs::path root_ = temporary_.path() / "hub";
    std::string digest_ = std::string(64, 'd');
};

TEST_F(HfCacheTest, FindsTheFilesOfTheMainRevision) {
    put("models--org--repo--x", "aaaa", "m-Q4_K_M.gguf", "old", std::string(64, 'a'));
    put("models--org--repo--x", "bbbb", "m-Q4_K_M.gguf", "newer", digest_);
    put("models--org--repo--x", "bbbb", "config.json", "{}", std::string(40, 'c'));
    put("datasets--org--repo", "bbbb", "m-Q4_K_M.gguf", "none", digest_);
    set_main("models--org--repo--x", "bbbb\n");
    const HfFound found = scan();
    ASSERT_EQ(found.models.size(), 1U);
    const ModelFile& model = found.models.front();
    EXPECT_EQ(model.name, "hf.co/org/repo--x:Q4_K_M");
    EXPECT_EQ(model.bytes, 5U);
    EXPECT_EQ(model.weights, "sha256:" + digest_) << "the same weights in an Ollama store are the same";
    EXPECT_TRUE(model.path.ends_with("/snapshots/bbbb/m-Q4_K_M.gguf"));
    EXPECT_EQ(found.defaults, (std::vector<std::string>{"hf.co/org/repo--x:Q4_K_M"}));
    set_main("models--org--repo--x", "../../../etc");
    EXPECT_EQ(scan().models.front().bytes, 3U) << "no folder of that name: the first by name";
}

TEST_F(HfCacheTest, AProjectorGoesWithTheModelsOfItsRepository) {
    put("models--o--r", "r", "m-Q4_0.gguf", "x", digest_);
    put("models--o--r", "r", "mmproj-BF16.gguf", "p", std::string(64, 'a'));
    put("models--o--r", "r", "mmproj-F16.gguf", "q", std::string(64, 'b'));
    const HfFound found = scan();
    ASSERT_EQ(found.models.size(), 1U);
    const ModelFile& model = found.models.front();
    EXPECT_TRUE(profile_of(model).load.projector.ends_with("/snapshots/r/mmproj-F16.gguf"));
    EXPECT_EQ(model.engine, engine_key(model.weights, profile_of(model).load));
    EXPECT_NE(model.engine, model.weights) << "an engine that sees is another one";
}

TEST_F(HfCacheTest, LinksLeadNowhereElse) {
    const fs::path outside = temporary_.path() / "outside.gguf";
    std::ofstream(outside) << "x";
    put("models--o--r", "r", "m-Q4_0.gguf", "x", digest_);
    fs::create_symlink(outside, root_ / "models--o--r/snapshots/r/a-Q8_0.gguf");
    fs::create_symlink("../../../../outside.gguf", root_ / "models--o--r/snapshots/r/b-Q5_0.gguf");
    const HfFound found = scan();
    ASSERT_EQ(found.models.size(), 1U);
    EXPECT_EQ(found.models.front().name, "hf.co/o/r:Q4_0");
    EXPECT_EQ(found.notes.size(), 2U);
}

TEST_F(HfCacheTest, WhatIsNotThereHasNothing) {
    EXPECT_TRUE(scan().models.empty());
    put("models--o--r", "r", "m-Q4_0.gguf", "x", digest_);
    fs::remove(root_ / "models--o--r/blobs" / digest_);
    EXPECT_TRUE(scan().models.empty()) << "a link to nothing";
}

}  // namespace
}  // namespace sutazai::catalog
