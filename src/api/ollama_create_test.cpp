#include "api/ollama_create.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>
#include <vector>

namespace sutazai::api::ollama {
namespace {

TEST(OllamaCreate, ReadsAll) {
    const auto body = parse_create(R"({
        "model": "mine", "from": "theirs", "stream": false, "quantize": "q4_K_m", "template": "{{ .Prompt }}",
        "system": "S.", "license": ["MIT", "more"], "parameters": {"temperature": 0.5, "stop": "END", "num_ctx": null},
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        "adapters": {}, "files": {}, "renderer": "", "requires": "0.14.0", "draft_files": null})");
    ASSERT_TRUE(body) << body.error().message;
    EXPECT_EQ(body->model, "mine");
    EXPECT_FALSE(body->stream);
    EXPECT_EQ(body->recipe.from, "theirs");
    EXPECT_EQ(body->recipe.quantize, "Q4_K_M");
    EXPECT_EQ(body->recipe.chat_template, "{{ .Prompt }}");
    EXPECT_EQ(body->recipe.system, "S.");
    EXPECT_EQ(body->recipe.licenses, (std::vector<std::string>{"MIT", "more"}));
    EXPECT_EQ(boost::json::serialize(body->recipe.parameters), R"({"temperature":5E-1,"stop":["END"]})");
    EXPECT_EQ(body->recipe.messages.size(), 2U);
    EXPECT_TRUE(body->recipe.files.empty());
    const auto files =
        parse_create(R"({"name":"m","files":{"a.gguf":"sha256:1"},"license":"one","quantization":"F16"})");
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_TRUE(files->stream);
    EXPECT_EQ(files->recipe.files.at(0).second, "sha256:1") << "the digest is looked at where the blobs are";
    EXPECT_EQ(files->recipe.licenses.size(), 1U);
    EXPECT_EQ(files->recipe.quantize, "F16");
}

TEST(OllamaCreate, NamesTheFieldThatIsWrong) {
    for (const auto& [body, field] : std::vector<std::pair<std::string, std::string>>{
             {R"({"from":"a"})", "model"},
             {R"({"model":"m"})", "from"},
             {R"({"model":"m","from":"a","files":{"x":"y"}})", "files"},
             {R"({"model":"m","files":["x"]})", "files"},
             {R"({"model":"m","files":{"x":1}})", "files.x"},
             {R"({"model":"m","files":{"x.safetensors":"sha256:1"}})", "files"},
             {R"({"model":"m","from":"a","quantize":"Q3_K_XL"})", "quantize"},
             {R"({"model":"m","from":"a","quantize":4})", "quantize"},
             {R"({"model":"m","from":"a","parameters":{"temperature":9}})", "parameters.temperature"},
             {R"({"model":"m","from":"a","parameters":{"made_up":9}})", "parameters.made_up"},
             {R"({"model":"m","from":"a","parameters":[]})", "parameters"},
             {R"({"model":"m","from":"a","license":[1]})", "license"},
             {R"({"model":"m","from":"a","license":{}})", "license"},
             {R"({"model":"m","from":"a","messages":{}})", "messages"},
             {R"({"model":"m","from":"a","messages":[1]})", "messages[0]"},
             {R"({"model":"m","from":"a","messages":[{"role":"robot","content":"x"}]})", "messages[0].role"},
             {R"({"model":"m","from":"a","messages":[{"role":"user","content":1}]})", "messages[0].content"},
             {R"({"model":"m","from":"a","messages":[{"role":"user","content":"x","images":["y"]}]})",
              "messages[0].images"},
             {R"({"model":"m","from":"a","adapters":{"x":3}})", "adapters.x"},
             {R"({"model":"m","from":"a","adapters":{"x.safetensors":"y"}})", "adapters"},
             {R"({"model":"m","from":"a","draft_files":{"x":"y"}})", "draft_files"},
             {R"({"model":"m","from":"a","renderer":"qwen3"})", "renderer"},
             {R"({"model":"m","from":"a","parser":"qwen3"})", "parser"},
             {R"({"model":"m","modelfile":"FROM a"})", "modelfile"},
             {R"({"model":"m","from":"a","stream":"no"})", "stream"},
             {R"({"model":"m","from":"a","surprise":1})", "surprise"},
         }) {
        const auto refused = parse_create(body);
        ASSERT_FALSE(refused) << body;
        EXPECT_EQ(refused.error().field, field) << body << ": " << refused.error().message;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    }
    EXPECT_NE(parse_create(R"({"model":"m","from":"a","quantize":"x"})").error().message.find("Q4_K_M"),
              std::string::npos);
    EXPECT_FALSE(parse_create("{"));
}

}  // namespace
}  // namespace sutazai::api::ollama
