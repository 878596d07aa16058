#include "catalog/projectors.h"

#include <gtest/gtest.h>

namespace sutazai::catalog {
namespace {

TEST(Projectors, AreKnownByTheirNames) {
    EXPECT_TRUE(is_projector_name("mmproj-F16.gguf"));
    EXPECT_TRUE(is_projector_name("/a/b/gemma-3-4b-it-MMPROJ-bf16.gguf"));
    EXPECT_FALSE(is_projector_name("/mmproj/gemma-3-4b-it-Q4_K_M.gguf"));
}

TEST(Projectors, GoWithModelsWhoseNamesBeginAlike) {
    const std::vector<std::string> files{"mmproj-gemma-3-4b-it-f16.gguf", "mmproj-gemma-3-4b-it-bf16.gguf",
                                         "SmolVLM-256M-mmproj-Q8_0.gguf", "mmproj-gemma-3-f32.gguf"};
    EXPECT_EQ(projector_for("gemma-3-4b-it-Q4_K_M.gguf", files, false), "mmproj-gemma-3-4b-it-f16.gguf");
    EXPECT_EQ(projector_for("SmolVLM-256M-Instruct-Q8_0.gguf", files, false), "SmolVLM-256M-mmproj-Q8_0.gguf");
    EXPECT_EQ(projector_for("gemma-3-12b-it-Q4_K_M.gguf", files, false), "mmproj-gemma-3-f32.gguf");
    EXPECT_EQ(projector_for("qwen2.5-3b.gguf", files, true), "");
}

TEST(Projectors, WithoutANameGoWithAModelThatIsAlone) {
    const std::vector<std::string> files{"mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-model-f32.gguf"};
    EXPECT_EQ(projector_for("any-Q4_K_M.gguf", files, true), "mmproj-F16.gguf");
    EXPECT_EQ(projector_for("any-Q4_K_M.gguf", files, false), "");
    EXPECT_EQ(projector_for("any-Q4_K_M.gguf", {}, true), "");
}

}  // namespace
}  // namespace sutazai::catalog
