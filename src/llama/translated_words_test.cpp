// Files whose tokenizer Ollama describes in another way split texts as proper ones do.
#include <common.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "gguf/virtual_file.h"
#include "llama/model.h"
#include "llama/testing/aged_file.h"
#include "llama/vocabulary.h"
#include "synth/synth.h"

namespace sutazai::llama {
namespace {

const std::vector<std::string> kTexts{"Hello World", "I'm sure it's 1234567 of them", "\n\n \t  a  b\n",
                                      "Stra\u00dfe, na\u00efve caf\u00e9; \u4f60\u597d!", "if (x != y) { return -1; }"};

LlamaModel words_of(const ModelSource& source) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    return load_file(source, params);
}

std::vector<std::vector<llama_token>> tokens_of(const llama_model* model) {
    std::vector<std::vector<llama_token>> out;
    for (const std::string& text : kTexts) {
        out.push_back(common_tokenize(llama_model_get_vocab(model), text, true, true));
    }
    return out;
}

class TranslatedWords : public testing::Test {
  protected:
    void SetUp() override { Model::prepare_process(); }
    [[nodiscard]] std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
    TemporaryFolder folder_;
};

TEST_F(TranslatedWords, Llama3HasItsPreTokenizerAndEndsItsTurns) {
    auto options = synth::synth_preset("toy").value();
    options.vocabulary = "llama-bpe";
    options.embedding = 64;
    options.tied_embeddings = true;
    options.output = path("proper.gguf");
    ASSERT_TRUE(synth::synthesize(options));
    write_aged(path("proper.gguf"), path("aged.gguf"), [](gguf::Draft& draft, gguf::Outline&) {
        draft.remove("tokenizer.ggml.pre");
        draft.set_u32("tokenizer.ggml.eos_token_id", 128001);
        draft.set_u32("tokenizer.ggml.eot_token_id", 128001);
    });
    ASSERT_FALSE(gguf::VirtualFile::translated(path("proper.gguf")).value());
    auto translated = gguf::VirtualFile::translated(path("aged.gguf"));
    ASSERT_TRUE(translated && *translated);
    EXPECT_EQ((*translated)->translation().id(), "llama3 1");
    const LlamaModel proper = words_of({path("proper.gguf"), {}});
    const LlamaModel aged = words_of({path("aged.gguf"), {}});
    const LlamaModel found = words_of({path("aged.gguf"), std::move(*translated)});
    ASSERT_TRUE(proper && aged && found);
    EXPECT_EQ(tokens_of(found.get()), tokens_of(proper.get()));
    EXPECT_NE(tokens_of(aged.get()), tokens_of(proper.get())) << "it is aged";
    const llama_vocab* vocab = llama_model_get_vocab(found.get());
    EXPECT_EQ(llama_vocab_eos(vocab), 128009);
    EXPECT_EQ(llama_vocab_eot(vocab), 128009);
    EXPECT_TRUE(llama_vocab_is_eog(vocab, 128009));
    EXPECT_TRUE(llama_vocab_is_eog(vocab, 128001)) << "the end of a text ends an answer as well";
}

TEST_F(TranslatedWords, StatesOfATranslatedFileAreKnownByWhatWasDone) {
    auto options = synth::synth_preset("toy").value();
    options.architecture = "gemma3";
    options.output = path("proper.gguf");
    ASSERT_TRUE(synth::synthesize(options));
    write_aged(path("proper.gguf"), path("aged.gguf"), [](gguf::Draft& draft, gguf::Outline& outline) {
        draft.remove("gemma3.attention.layer_norm_rms_epsilon");  // 1e-6, as the translation has it
        add_tensor(outline, "v.blk.0.attn_q.weight");
    });
    const auto load = [&](const std::string& name, std::uint32_t vocabulary) {
        auto model = Model::load({.path = path(name),
                                  .context_tokens = 256,
                                  .threads = 1,
                                  .gpu = false,
                                  .architecture = "gemma3",
                                  .vocabulary = vocabulary},
                                 [](float) {});
        EXPECT_TRUE(model) << model.error().message;
        return std::move(*model);
    };
    const auto whole = load("aged.gguf", 0);
    EXPECT_EQ(whole->properties().fingerprint.translation, "gemma3 1");
    // Weights and vocabulary side by side, each through a stream of its own.
    const auto in_parts = load("aged.gguf", static_cast<std::uint32_t>(whole->properties().vocabulary));
    EXPECT_EQ(in_parts->properties().fingerprint.translation, "gemma3 1");
    const auto proper = load("proper.gguf", 0);
    EXPECT_EQ(proper->properties().fingerprint.translation, "");
    for (const auto* model : {whole.get(), in_parts.get()}) {
        EXPECT_EQ(model->properties().weights_bytes, proper->properties().weights_bytes);
        EXPECT_TRUE(model->file_intact());
    }
}

TEST_F(TranslatedWords, AnEndOfTextInAProperLlama3IsNoReasonToTranslate) {
    const std::string vocabulary = std::string(SUTAZAI_LLAMA_MODELS) + "/ggml-vocab-llama-bpe.gguf";
    write_aged(vocabulary, path("base.gguf"),
               [](gguf::Draft& draft, gguf::Outline&) { draft.set_u32("tokenizer.ggml.eos_token_id", 128001); });
    EXPECT_FALSE(gguf::VirtualFile::translated(path("base.gguf")).value());
    const LlamaModel base = words_of({path("base.gguf"), {}});
    ASSERT_TRUE(base);
    EXPECT_TRUE(llama_vocab_is_eog(llama_model_get_vocab(base.get()), 128009)) << "llama.cpp knows it by its name";
}

TEST_F(TranslatedWords, ArcticEmbed2HasItsNormaliserAsBytes) {
    constexpr const char* kMap = "tokenizer.ggml.precompiled_charsmap";
    const std::string vocabulary = std::string(SUTAZAI_LLAMA_MODELS) + "/ggml-vocab-nomic-bert-moe.gguf";
    write_aged(vocabulary, path("proper.gguf"), [](gguf::Draft& draft, gguf::Outline& outline) {
        draft.rename_architecture("nomic-bert-moe", "bert");
        outline.tensors.push_back({.name = "w", .shape = {4, 1, 1, 1}, .elements = 4, .bytes = 16});
    });
    write_aged(path("proper.gguf"), path("aged.gguf"), [&](gguf::Draft&, gguf::Outline& outline) {
        constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const auto pair = std::ranges::find(outline.pairs, kMap, &gguf::Pair::key);
        ASSERT_NE(pair, outline.pairs.end());
        gguf::Value& map = pair->value;
        ASSERT_TRUE(map.place) << "it is long";
        std::string bytes(map.place->bytes, '\0');
        std::ifstream(path("proper.gguf"), std::ios::binary)
            .seekg(static_cast<std::streamoff>(map.place->begin))
            .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        bytes.resize((bytes.size() + 2) / 3 * 3);
        map = {.type = gguf::kArray, .element = gguf::kString, .count = 0};
        for (std::size_t at = 0; at < bytes.size(); at += 3) {
            const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[at + i]); };
            const std::uint32_t bits = byte(0) << 16U | byte(1) << 8U | byte(2);
            for (const unsigned shift : {18U, 12U, 6U, 0U}) {
                gguf::append_bytes<std::uint64_t>(map.bytes, 1);
                map.bytes += kDigits[bits >> shift & 63U];
                ++map.count;
            }
        }
    });
    ASSERT_FALSE(gguf::VirtualFile::translated(path("proper.gguf")).value());
    auto translated = gguf::VirtualFile::translated(path("aged.gguf"));
    ASSERT_TRUE(translated) << translated.error().message;
    ASSERT_TRUE(*translated);
    const LlamaModel proper = words_of({path("proper.gguf"), {}});
    const LlamaModel found = words_of({path("aged.gguf"), std::move(*translated)});
    ASSERT_TRUE(proper && found);
    EXPECT_EQ(tokens_of(found.get()), tokens_of(proper.get()));
}

}  // namespace
}  // namespace sutazai::llama
