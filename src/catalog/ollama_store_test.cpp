#include "catalog/ollama_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "base/testing/temporary_folder.h"
#include "catalog/ollama_layers.h"
#include "catalog/testing/small_store.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

const std::string kQwen = "registry.ollama.ai/library/qwen2.5/3b";

class OllamaStoreTest : public testing::Test {
  protected:
    std::vector<ModelFile> scan() {
        auto found = store_.scan({});
        notes_ = found.notes;
        std::ranges::sort(found.models, {}, &ModelFile::name);
        return found.models;
    }
    ModelFile only() {
        const auto all = scan();
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? ModelFile() : all.front();
    }

    TemporaryFolder temporary_;
    fs::path root_ = temporary_.path() / "models";
    SmallStore files_{root_};
    OllamaStore store_{root_.string()};
    std::vector<std::string> notes_;
};

TEST_F(OllamaStoreTest, AManifestIsAModelWithWhatItsLayersSay) {
    files_.put(
        kQwen,
        {{"model", "weights"},
         {"template", "{{ .Prompt }}<|im_end|>"},
         {"system", "Be kind."},
         {"license", "free"},
         {"params", R"({"temperature":0.5,"stop":["<|im_end|>","\n\n"],"num_ctx":4096,"num_predict":-2,"top_k":20,
                               "seed":7,"num_gpu":99,"min_p":"no","repeat_penalty":9})"},
         {"messages", R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}])"}},
        R"({"model_format":"gguf","model_family":"qwen2","model_type":"3.1B","file_type":"Q4_K_M","renderer":"r",
                   "parser":"p","requires":"0.9.0"})");
    const ModelFile model = only();
    EXPECT_EQ(model.name, "qwen2.5:3b");
    EXPECT_EQ(model.problem, "");
    EXPECT_EQ(model.path, files_.blob("weights").string());
    EXPECT_EQ(model.weights, "sha256:" + model.path.substr(model.path.rfind('-') + 1));
    EXPECT_EQ(model.bytes, 7U);
    EXPECT_EQ(model.stamps.size(), 1U);
    const ModelProfile& profile = profile_of(model);
    EXPECT_EQ(profile.request.temperature, 0.5F);
    EXPECT_EQ(profile.request.top_k, 20);
    EXPECT_EQ(profile.request.seed, 7U);
    EXPECT_EQ(profile.request.max_tokens, -1);
    EXPECT_FALSE(profile.request.min_p) << "no number";
    EXPECT_FALSE(profile.request.repeat_penalty) << "more than a request may ask for";
    EXPECT_EQ(profile.request.stop, (std::vector<std::string>{"<|im_end|>", "\n\n"}));
    EXPECT_EQ(profile.request.system, "Be kind.");
    EXPECT_EQ(profile.request.messages.size(), 2U);
    EXPECT_EQ(profile.load.least_context_tokens, 4096U);
    EXPECT_EQ(profile.load.fallback_template, "{{ .Prompt }}<|im_end|>");
    EXPECT_EQ(profile.facts, (StoreFacts{"qwen2", "3.1B", "Q4_K_M", "r", "p", "0.9.0"}));
    EXPECT_TRUE(profile.load_hint.ends_with("It says that it needs Ollama 0.9.0")) << profile.load_hint;
}

TEST_F(OllamaStoreTest, WhatOllamaHasCodeForGoesByATemplateThatIsKnown) {
    const auto profile_with = [](std::string_view config, std::string_view fallback = {}) {
        ModelProfile profile;
        EXPECT_TRUE(take_ollama_config(config, profile));
        profile.load.fallback_template = fallback;
        take_renderer_template(profile);
        return profile;
    };
    EXPECT_EQ(profile_with(R"({"renderer":"qwen3-coder"})").load.fallback_template, "chatml");
    EXPECT_EQ(profile_with(R"({"renderer":"qwen3-coder"})", "{{ .Prompt }}").load.fallback_template, "{{ .Prompt }}");
    EXPECT_EQ(profile_with(R"({"model_family":"gptoss"})").load.fallback_template, "gpt-oss");
    EXPECT_EQ(profile_with(R"({"renderer":"cogito"})").load.fallback_template, "") << "nothing like it is here";
    EXPECT_FALSE(profile_with("{}").facts.has_draft);
    EXPECT_TRUE(profile_with(R"({"draft":{"model_format":"gguf"}})").facts.has_draft);
    const auto is_beyond = [&](const std::string& version) {
        return profile_with(R"({"requires":")" + version + R"("})").load_hint.find("known here ends") !=
               std::string::npos;
    };
    for (const char* newer : {"0.33.1", "0.34", "v1", "0.100.0-rc1"}) EXPECT_TRUE(is_beyond(newer)) << newer;
    for (const char* known : {"0.33.0", "0.9.7", "v0.33", "0.33", "nonsense"}) EXPECT_FALSE(is_beyond(known)) << known;
}

TEST_F(OllamaStoreTest, NamesAreAsShortAsOllamaShowsThem) {
    for (const char* path : {"registry.ollama.ai/library/a/latest", "registry.ollama.ai/me/b/v1",
                             "localhost:5000/library/c/x", "hf.co/org/repo/Q4_K_M"}) {
        files_.put(path, {{"model", "weights"}});
    }
    std::vector<std::string> names;
    for (const ModelFile& model : scan()) names.push_back(model.name);
    EXPECT_EQ(names,
              (std::vector<std::string>{"a:latest", "hf.co/org/repo:Q4_K_M", "localhost:5000/library/c:x", "me/b:v1"}));
}

TEST_F(OllamaStoreTest, OneDigestAndOneSetOfLoadChoicesAreOneEngine) {
    files_.put("registry.ollama.ai/library/a/latest", {{"model", "weights"}, {"params", R"({"temperature":0})"}});
    files_.put("registry.ollama.ai/library/b/latest", {{"model", "weights"}, {"system", "Other."}});
    files_.put("registry.ollama.ai/library/c/latest", {{"model", "weights"}, {"params", R"({"num_ctx":512})"}});
    files_.put("registry.ollama.ai/library/d/latest", {{"model", "others"}});
    const auto all = scan();
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].engine, all[1].engine) << "what only requests see makes no other engine";
    EXPECT_NE(all[0].engine, all[2].engine);
    EXPECT_NE(all[0].engine, all[3].engine);
}

TEST_F(OllamaStoreTest, AProjectorIsPartOfHowAModelIsLoaded) {
    files_.put("registry.ollama.ai/library/a/latest", {{"model", "weights"}, {"projector", "eyes"}});
    files_.put("registry.ollama.ai/library/b/latest", {{"model", "weights"}});
    const auto all = scan();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(profile_of(all[0]).load.projector, files_.blob("eyes").string());
    EXPECT_NE(all[0].engine, all[1].engine);
    files_.put("registry.ollama.ai/library/c/latest", {{"model", "weights"}, {"projector", "a"}, {"projector", "b"}});
    EXPECT_EQ(scan()[2].problem, "it has several projectors, which are not supported");
}

TEST_F(OllamaStoreTest, WhatCannotBeUsedSaysWhy) {
    const std::string hex(64, 'a');
    const auto manifest = [](std::string_view layers) { return fmt::format(R"({{"layers":[{}]}})", layers); };
    const auto layer = [](std::string_view kind, std::string_view digest) {
        return fmt::format(R"({{"mediaType":"application/vnd.ollama.image.{}","digest":"{}"}})", kind, digest);
    };
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "its manifest is no JSON object"},
        {"[]", "its manifest is no JSON object"},
        {"{\"layers\":", "its manifest is no JSON object"},
        {"{}", "its manifest has no layers"},
        {R"({"manifests":[]})", "it is a list of manifests, which is not supported"},
        {R"({"layers":[]})", "its manifest names no weights"},
        {R"({"layers":[3]})", "a layer of its manifest is no object"},
        {manifest(layer("model", "sha256:" + hex)), "the blob sha256-" + hex + " of its weights is missing"},
        {manifest(layer("model", "sha256:../../../etc/passwd")),
         "the digest \"sha256:../../../etc/passwd\" of its weights is none (sha256: and 64 hex digits)"},
        {manifest(layer("model", "sha256:" + std::string(64, '/'))), "of its weights is none"},
        {manifest(layer("model", "")), "the digest \"\" of its weights is none"},
        {manifest(layer("tensor", "sha256:" + hex)), "its weights are safetensors; only GGUF can be read"},
        {manifest(layer("adapter", "sha256:" + hex)), "the blob sha256-" + hex + " of its adapter is missing"},
        {manifest(layer("system", "sha256:" + hex)), "the blob sha256-" + hex + " of its system is missing"},
        {R"({"config":{"digest":"sha256:x"},"layers":[]})", "of its config is none"},
    };
    for (const auto& [text, why] : cases) {
        files_.put_text(kQwen, text);
        const ModelFile model = only();
        EXPECT_EQ(model.name, "qwen2.5:3b");
        EXPECT_NE(model.problem.find(why), std::string::npos) << text << "\n" << model.problem;
        EXPECT_TRUE(model.stamps.empty());
    }
    files_.put(kQwen, {{"model", "a"}, {"model", "b"}});
    EXPECT_EQ(only().problem, "it has several files of weights, which are not supported");
    files_.put(kQwen, {{"model", "a"}, {"params", "nonsense"}});
    EXPECT_EQ(only().problem, "its parameters are no JSON");
    files_.put(kQwen, {{"model", "a"}}, R"({"model_format":"safetensors"})");
    EXPECT_EQ(only().problem, "its weights are safetensors; only GGUF can be read");
}

TEST_F(OllamaStoreTest, ABlobThatIsNotWholeIsSaidToBe) {
    files_.put(kQwen, {{"model", "weights"}});
    EXPECT_EQ(only().problem, "");
    fs::resize_file(files_.blob("weights"), 3);
    EXPECT_NE(only().problem.find("has 3 bytes and should have 7"), std::string::npos)
        << "though the manifest is known";
    fs::remove(files_.blob("weights"));
    EXPECT_NE(only().problem.find("is missing"), std::string::npos);
    files_.put_blob("weights");
    EXPECT_EQ(only().problem, "") << "it has come";
}

TEST_F(OllamaStoreTest, NamesThatNobodyCouldAskForAreNoModels) {
    files_.put("registry.ollama.ai/library/a b/latest", {{"model", "weights"}});
    files_.put("registry.ollama.ai/library/.hidden/latest", {{"model", "weights"}});
    files_.put("registry.ollama.ai/lib.rary/a/latest", {{"model", "weights"}});
    files_.put("too/short/path", {{"model", "weights"}});
    files_.put("one/too/many/parts/here", {{"model", "weights"}});
    EXPECT_TRUE(scan().empty());
    EXPECT_EQ(notes_.size(), 2U);
}

TEST_F(OllamaStoreTest, TheBlobsFolderIsAllThatIsRead) {
    std::ofstream(temporary_.path() / "secret") << "Be evil.";
    fs::create_directories(root_ / "blobs/sha256-x");
    // A pipe would hold the reader up, a folder is no file.
    const std::string hex(64, 'b');
    fs::create_directory(root_ / "blobs" / ("sha256-" + hex));
    files_.put_text(
        kQwen,
        fmt::format(R"({{"layers":[{{"mediaType":"application/vnd.ollama.image.system","digest":"sha256:{}"}}]}})",
                    hex));
    EXPECT_NE(only().problem.find("is a folder; it must be a file"), std::string::npos) << only().problem;
}

TEST_F(OllamaStoreTest, AStoreThatIsNotThereHasNothing) {
    OllamaStore nowhere((temporary_.path() / "nowhere").string());
    EXPECT_TRUE(nowhere.scan({}).models.empty());
}

// Whatever a manifest says: no crash, and no path but of the blobs.
TEST_F(OllamaStoreTest, NonsenseIsRefused) {
    files_.put_blob("weights");
    const std::string good = fmt::format(
        R"({{"schemaVersion":2,"config":{{"digest":"{0}","size":7}},"layers":[{{"mediaType":"application/vnd.ollama.image.model","digest":"{0}","size":7}},{{"mediaType":"application/vnd.ollama.image.params","digest":"{0}","size":7}}]}})",
        files_.put_blob("weights"));
    const std::uint64_t seed = std::random_device{}();
    std::mt19937_64 random(seed);
    const std::string blobs = (root_ / "blobs").string();
    for (int n = 0; n < 20'000; ++n) {
        std::string text = good;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = static_cast<char>(random()); break;
                case 1: text.erase(at, 1 + random() % 20); break;
                default: text.insert(at, text.substr(random() % text.size(), random() % 40));
            }
        }
        ModelFile model;
        const auto read = read_ollama_manifest(text, blobs, model);
        if (!model.path.empty()) {
            ASSERT_TRUE(model.path.starts_with(blobs + "/sha256-")) << text << ", seed " << seed;
            ASSERT_EQ(model.path.size(), blobs.size() + 8 + 64) << text << ", seed " << seed;
        }
        if (read) {
            ASSERT_FALSE(model.stamps.empty()) << text << ", seed " << seed;
        }
    }
}

}  // namespace
}  // namespace sutazai::catalog
