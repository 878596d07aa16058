#include "llama/testing/test_models.h"

#include <ggml.h>
#include <gguf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
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
    static std::string damaged(const Damage& damage, const std::string& preset) {
        const std::filesystem::path good = path(preset, 0);
        static int n = 0;
        auto bad = good;
        bad.replace_extension("." + std::to_string(n++) + ".gguf");
        std::filesystem::copy_file(good, bad, std::filesystem::copy_options::overwrite_existing);
        made().push_back(bad);
        ggml_context* shapes = nullptr;
        gguf_context* file = gguf_init_from_file(bad.c_str(), {.no_alloc = true, .ctx = &shapes});
        const auto id = gguf_find_tensor(file, damage.tensor.c_str());
        const ggml_tensor* tensor = ggml_get_tensor(shapes, damage.tensor.c_str());
        EXPECT_TRUE(id >= 0 && tensor != nullptr && tensor->type == GGML_TYPE_F32) << damage.tensor;
        const std::vector<float> row(static_cast<std::size_t>(tensor->ne[0]), damage.value);
        std::fstream out(bad, std::ios::binary | std::ios::in | std::ios::out);
        out.seekp(static_cast<std::streamoff>(gguf_get_data_offset(file) + gguf_get_tensor_offset(file, id) +
                                              static_cast<std::size_t>(damage.row) * row.size() * sizeof(float)));
        out.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
        EXPECT_TRUE(out.good());
        gguf_free(file);
        ggml_free(shapes);
        return bad.string();
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

std::string damaged_test_model(const Damage& damage, const std::string& preset) {
    return TestModels::damaged(damage, preset);
}

std::unique_ptr<Model> load_test_model(const std::string& preset, std::uint32_t context_tokens, std::uint32_t pooling) {
    LoadOptions options;
    options.path = test_model(preset, pooling);
    options.context_tokens = context_tokens;
    options.threads = 1;
    options.kv_type = "f32";
    auto model = Model::load(options, [](float) {});
    EXPECT_TRUE(model.has_value()) << model.error().message;
    return std::move(*model);
}

Result<std::unique_ptr<Grammar>> grammar_of(const LanguageModel& model, const GrammarSource& source) {
    grammar::Work work{100'000'000};
    auto compiled = compile(model, source, work);
    if (!compiled) return std::unexpected(std::move(compiled.error()));
    return std::make_unique<Grammar>(model, std::move(*compiled));
}

}  // namespace sutazai::llama
