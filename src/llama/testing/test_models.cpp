#include "llama/testing/test_models.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "synth/synth.h"

namespace sutazai::llama {
namespace {

class TestModels : public testing::Environment {
  public:
    static std::string path(const std::string& preset, std::uint32_t pooling) {
        auto options = synth::synth_preset(preset).value();
        options.quantisation = "f32";
        if (pooling > 0) options.pooling = pooling;
        options.output = std::filesystem::temp_directory_path() / ("sutazai-test-" + std::to_string(getpid()) + "-" +
                                                                   preset + std::to_string(pooling) + ".gguf");
        if (!std::filesystem::exists(options.output)) {
            EXPECT_TRUE(synth::synthesize(options).has_value());
            made().push_back(options.output);
        }
        return options.output.string();
    }
    void TearDown() override {
        for (const auto& path : made()) std::filesystem::remove(path);
    }

  private:
    static std::vector<std::filesystem::path>& made() {
        static std::vector<std::filesystem::path> all;
        return all;
    }
};
const auto* const kTestModels = testing::AddGlobalTestEnvironment(new TestModels);

}  // namespace

std::string test_model(const std::string& preset, std::uint32_t pooling) {
    return TestModels::path(preset, pooling);
}

std::unique_ptr<Model> load_test_model(const std::string& preset, std::uint32_t context_tokens, std::uint32_t pooling) {
    LoadOptions options;
    options.path = test_model(preset, pooling);
    options.context_tokens = context_tokens;
    options.threads = 1;
    options.kv_f32 = true;
    auto model = Model::load(options, [](float) {});
    EXPECT_TRUE(model.has_value()) << model.error().message;
    return std::move(*model);
}

}  // namespace sutazai::llama
