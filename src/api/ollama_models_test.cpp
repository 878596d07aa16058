#include "api/ollama_models.h"

#include <gtest/gtest.h>

#include "base/byte_text.h"

namespace sutazai::api::ollama {
namespace {

using namespace std::chrono_literals;

const auto kNow = std::chrono::sys_days{std::chrono::January / 26 / 2025} + 14h + 30min + 52s + 5ms;
const ModelCard kCard{.name = "qwen2.5:0.5b",
                      .modified = kNow,
                      .bytes = 397'821'319,
                      .digest = "a8b0",
                      .family = "qwen2",
                      .parameter_size = human_number(494'032'768),
                      .quantization = "Q4_K_M",
                      .context_length = 32768,
                      .embedding_length = 896,
                      .capabilities = {"completion"}};
constexpr const char* kDetails =
    R"("details":{"parent_model":"","format":"gguf","family":"qwen2","families":["qwen2"],)"
    R"("parameter_size":"494.03M","quantization_level":"Q4_K_M","context_length":32768,"embedding_length":896})";

TEST(OllamaModels, WritesTheGoldenTags) {
    EXPECT_EQ(encode_tags({}), R"({"models":[]})");
    EXPECT_EQ(encode_tags({&kCard, 1}),
              R"({"models":[{"name":"qwen2.5:0.5b","model":"qwen2.5:0.5b",)"
              R"("modified_at":"2025-01-26T14:30:52.005Z","size":397821319,"digest":"a8b0",)" +
                  std::string(kDetails) + R"(,"capabilities":["completion"]}]})");
}

TEST(OllamaModels, WritesTheGoldenPs) {
    RunningModel running{.card = kCard, .bytes = 500, .gpu_bytes = 0, .context_tokens = 4096, .expires = kNow + 5min};
    EXPECT_EQ(encode_ps({&running, 1}, kNow),
              R"({"models":[{"name":"qwen2.5:0.5b","model":"qwen2.5:0.5b","details":)" +
                  std::string(kDetails).substr(10) +
                  R"(,"size":500,"digest":"a8b0","expires_at":"2025-01-26T14:35:52.005Z","size_vram":0,)"
                  R"("context_length":4096}]})");
    running.expires.reset();
    EXPECT_NE(encode_ps({&running, 1}, kNow).find(R"("expires_at":"2125-01-)"), std::string::npos);
}

TEST(OllamaModels, WritesTheGoldenPage) {
    ModelPage page{.card = kCard, .modelfile = "FROM x\n", .chat_template = "{{ x }}"};
    page.model_info = {{"general.architecture", "qwen2"}, {"tokenizer.ggml.tokens", nullptr}};
    ModelPage talking = page;
    talking.messages = {{"user", "Hi"}};
    EXPECT_NE(encode_show(talking).find(R"("messages":[{"role":"user","content":"Hi"}])"), std::string::npos);
    EXPECT_EQ(encode_show(page), R"({"modelfile":"FROM x\n","template":"{{ x }}",)" + std::string(kDetails) +
                                     R"(,"model_info":{"general.architecture":"qwen2","tokenizer.ggml.tokens":null},)"
                                     R"("capabilities":["completion"],"modified_at":"2025-01-26T14:30:52.005Z"})");
    page.license = "MIT";
    page.parameters = "temperature 0.5";
    page.system = "Be brief.";
    const std::string all = encode_show(page);
    for (const char* part : {R"("license":"MIT")", R"("parameters":"temperature 0.5")", R"("system":"Be brief.")"}) {
        EXPECT_NE(all.find(part), std::string::npos) << all;
    }
}

TEST(OllamaModels, ReadsWhatIsAskedFor) {
    EXPECT_EQ(parse_show(R"({"model":"a"})")->model, "a");
    EXPECT_EQ(parse_show(R"({"name":"a","verbose":true,"system":"","options":{}})")->model, "a");
    EXPECT_TRUE(parse_show(R"({"name":"a","verbose":true})")->verbose);
    EXPECT_EQ(parse_show(R"({"model":"","name":"a"})")->model, "a") << "as Ollama's command line sends it";
    EXPECT_EQ(parse_show("{}").error().field, "model");
    EXPECT_EQ(parse_show(R"({"model":"a","system":"x"})").error().field, "system");
    EXPECT_EQ(parse_show(R"({"model":"a","nonsense":1})").error().field, "nonsense");
}

}  // namespace
}  // namespace sutazai::api::ollama
