#include "catalog/models_toml.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::catalog {
namespace {

using namespace std::chrono_literals;

TEST(ModelsToml, AdaptersHaveAFileANameAndAScale) {
    const auto read = parse_models_toml(
        "[models.a]\nadapters = [\"lora/tone.gguf\", {path = \"/x/sql.gguf\", name = \"SQL\", scale = 0}]", "/home");
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(read->front().profile.request.adapters,
              (std::vector<AdapterChoice>{{"tone", "/home/lora/tone.gguf", 1}, {"SQL", "/x/sql.gguf", 0}}));
}

TEST(ModelsToml, ReadsEveryKey) {
    const auto read = parse_models_toml(R"(
# what we use
[models.fast]
from = "qwen2.5:3b"
context = 8192
kv_type = "q8_0"
template = "chatml"
system = """
Be brief."""
temperature = 0
top_k = 20
top_p = 0.5
min_p = 0.25
repeat_penalty = 1.5
presence_penalty = -1
frequency_penalty = 2
seed = 3
max_tokens = 100
stop = ["a", "b"]
pinned = true
keep_alive = "5m"

[models."qwen2.5:3b"]
stop = "END"
keep_alive = -1
projector = "mmproj.gguf"
template = "templates/x.jinja"

[models]
file = { from = "sub/x.gguf" }
)",
                                        "/home/s");
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->size(), 3U);
    const ConfiguredModel& fast = (*read)[0].name == "fast" ? (*read)[0] : (*read)[1];
    EXPECT_EQ(fast.from, "qwen2.5:3b");
    EXPECT_EQ(fast.place, "models.toml:3");
    EXPECT_EQ(fast.profile.load, (LoadChoices{8192, 0, "q8_0", "chatml", ""}));
    const auto named = std::ranges::find(*read, "qwen2.5:3b", &ConfiguredModel::name);
    EXPECT_EQ(named->profile.load.projector, "/home/s/mmproj.gguf");
    const RequestDefaults& request = fast.profile.request;
    EXPECT_EQ(request.system, "Be brief.");
    EXPECT_EQ(request.temperature, 0.0F);
    EXPECT_EQ(request.top_k, 20);
    EXPECT_EQ(request.top_p, 0.5F);
    EXPECT_EQ(request.min_p, 0.25F);
    EXPECT_EQ(request.repeat_penalty, 1.5F);
    EXPECT_EQ(request.presence_penalty, -1.0F);
    EXPECT_EQ(request.frequency_penalty, 2.0F);
    EXPECT_EQ(request.seed, 3U);
    EXPECT_EQ(request.max_tokens, 100);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(fast.profile.pinned, true);
    EXPECT_EQ(fast.profile.keep_alive, KeepAlive(5min));
    for (const ConfiguredModel& model : *read) {
        if (model.name == "file") {
            EXPECT_EQ(model.path, "/home/s/sub/x.gguf");
        }
        if (model.name == "qwen2.5:3b") {
            EXPECT_EQ(model.profile.keep_alive, kKeepForEver);
            EXPECT_EQ(model.template_file, "/home/s/templates/x.jinja");
        }
    }
    EXPECT_TRUE(parse_models_toml("", "/x")->empty());
}

TEST(ModelsToml, ErrorsNameLineKeyAndLimit) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"[models.a]\ntemperature = 3",
         "models.toml:2: models.\"a\".temperature = 3 is not allowed; it must be a number, 0 to 2"},
        {"[models.a]\ntemperature = nan", "must be a number, 0 to 2"},
        {"[models.a]\n\ntop_p = 0",
         "models.toml:3: models.\"a\".top_p = 0 is not allowed; it must be a number, above 0 to 1"},
        {"[models.a]\ntop_k = 1.5", "top_k = 1.5 is not allowed; it must be a whole number, 0 to 10000"},
        {"[models.a]\ncontext = \"big\"", "context = \"big\" is not allowed; it must be a whole number, 1 to 16777216"},
        {"[models.a]\ncontext = 0", "1 to 16777216"},
        {"[models.a]\nkv_type = \"q3\"", "kv_type = \"q3\" is not allowed; it must be one of f32, f16, bf16, q8_0"},
        {"[models.a]\nmax_tokens = 0", "it must be -1 or at least 1"},
        {"[models.a]\npinned = \"yes\"", "pinned = \"yes\" is not allowed; it must be true or false"},
        {"[models.a]\nkeep_alive = \"soon\"", "it must be a time such as \"5m\""},
        {"[models.a]\nkeep_alive = inf", "it must be a time such as \"5m\""},
        {"[models.a]\nstop = [\"\"]", "of 1 to 256 bytes each"},
        {"[models.a]\nstop = [1]", "stop = 1 is not allowed; it must be a text"},
        {"[models.a]\nsystem = 2026-01-01", "system = a date or time is not allowed"},
        {"[models.a]\nfrom = \"~/x.gguf\"", "it must be a model's name, or a path that begins with / or ./"},
        {"[models.a]\nfrom = \"a b\"", "it must be a model's name"},
        {"[models.a]\nadapters = \"x\"", "adapters = \"x\" is not allowed; it must be a list of at most 64"},
        {"[models.a]\nadapters = [3]",
         "adapters[0] = 3 is not allowed; it must be the path of a GGUF file, or a table"},
        {"[models.a]\nadapters = [{name = \"x\"}]", "it must be the path of a GGUF file, or a table"},
        {"[models.a]\nadapters = [{path = \"x\", scale = 11}]", "adapters[0].scale = 11 is not allowed"},
        {"[models.a]\nadapters = [{path = \"x\", scal = 1}]", "adapters[0].scal is no key of an adapter"},
        {"[models.a]\nadapters = [\"x.gguf\", \"y/x.gguf\"]", "adapters[1] has the name \"x\" of another one"},
        {"[models.a]\ndraft = \"x\"", "models.\"a\".draft is not built yet"},
        {"[models.a]\ntemprature = 1", "models.\"a\".temprature is no key of a model; there are from, upstream,"},
        {"[models.qwen2.5]\nfrom = \"x\"", "a name with a dot in it stands in quotes"},
        {"[model.a]", "models.toml:1: model is no key of this file; it holds [models.NAME] alone"},
        {"models = 3", "models.toml:1: models must be a table"},
        {"[models]\na = 3", "models.toml:2: models.\"a\" must be a table"},
        {"[models.\"../a\"]", "models.toml:1: \"../a\" is no model name"},
        {"[models.a]\ntop_k = ", "models.toml:2: "},
        {"[models.a]\n[models.a]", "models.toml:2: "},
        {"\xff\xfe", "models.toml:1: "},
        {"[models.a]\n\n[.b]\ntop_k = 1\n", "models.toml:3: this is no TOML"},
        {"[models.a]\nstop = [\"x\", }]\n", "models.toml:2: "},
    };
    for (const auto& [text, why] : cases) {
        const auto read = parse_models_toml(text, "/x");
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(read.error().message.find(why), std::string::npos) << text << "\n" << read.error().message;
        EXPECT_EQ(read.error().message.find("models.toml"), 0U) << read.error().message;
    }
}

TEST(ModelsToml, NonsenseIsAnError) {
    const std::uint64_t seed = std::random_device{}();
    std::mt19937_64 random(seed);
    const std::string good =
        "[models.\"a:1\"]\nfrom = \"b\"\nstop = [\"x\", \"\\u0041\"]\ntop_k = 0x1F\nkeep_alive = 1e3\nsystem = "
        "\"\"\"\\\n\u00e9 \ufeff\"\"\"\n# \u00fc\n";
    for (int n = 0; n < 20000; ++n) {
        std::string text = good;
        for (auto changes = 1 + random() % 5; changes > 0; --changes) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = static_cast<char>(random()); break;
                case 1: text.erase(at, 1 + random() % 9); break;
                default: text.insert(at, text.substr(random() % text.size(), random() % 30));
            }
            if (text.empty()) text = " ";
        }
        const auto read = parse_models_toml(text, "/x");
        if (!read) {
            ASSERT_FALSE(read.error().message.empty()) << text << ", seed " << seed;
        }
    }
}

TEST(ModelsToml, AModelOfAnotherServer) {
    const auto read = parse_models_toml(
        "[models.big]\nupstream = \"gpu\"\nupstream_model = \"llama3.3:70b\"\nsystem = \"s\"\n"
        "[models.far]\nupstream = \"openai+https://llm.example.org\"\nupstream_key_env = \"FAR_KEY\"\n",
        "/x");
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->size(), 2U);
    EXPECT_EQ(read->at(0).remote, (RemoteModel{"gpu", "llama3.3:70b"}));
    EXPECT_EQ(read->at(0).profile.request.system, "s");
    EXPECT_TRUE(read->at(0).is_new());
    EXPECT_FALSE(read->at(0).is_about_loading());
    EXPECT_EQ(read->at(1).remote->model, "far") << "the name, where nothing is said";
    EXPECT_EQ(read->at(1).remote->address->text(), "openai+https://llm.example.org/v1");
    EXPECT_EQ(read->at(1).remote->key_variable, "FAR_KEY");
}

TEST(ModelsToml, WrongUpstreamsAreRefusedWithoutTheirSecrets) {
    for (const std::string text :
         {"upstream_model = \"x\"", "upstream_key_env = \"X\"", "upstream = \"\"", "upstream = \"u\"\nfrom = \"x\"",
          "upstream = \"u\"\nupstream_key_env = \"X\"", "upstream = \"http://h\"",
          "upstream = \"ollama+http://me:hunter2@h\"", "upstream = \"ollama+http://h\"\nupstream_key_env = \"a b\"",
          "upstream = \"u\"\nupstream_model = \"\"", "upstream = 3"}) {
        const auto read = parse_models_toml("[models.m]\n" + text, "/x");
        ASSERT_FALSE(read) << text;
        EXPECT_NE(read.error().message.find("upstream"), std::string::npos) << read.error().message;
        EXPECT_EQ(read.error().message.find("hunter2"), std::string::npos);
    }
}

}  // namespace
}  // namespace sutazai::catalog
