// Files in the form in which Ollama published them compute what those do that llama.cpp expects: each is made by ageing
// a proper one.
#include <gtest/gtest.h>
#include <llama.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "gguf/byte_reader.h"
#include "gguf/draft.h"
#include "gguf/virtual_file.h"
#include "llama/model.h"
#include "llama/testing/aged_families.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using gguf::Tensor;

struct ContextFree {
    void operator()(llama_context* context) const { llama_free(context); }
};

/// Logits (or, of a model that embeds, what it makes of the text) of some tokens, all positions; empty when the model
/// does not load.
std::vector<float> results(const ModelSource& source, bool embeds) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    const LlamaModel model = load_file(source, params);
    if (model == nullptr) return {};
    llama_context_params settings = llama_context_default_params();
    settings.n_ctx = 128;
    settings.n_threads = settings.n_threads_batch = 1;
    settings.embeddings = embeds;
    if (embeds) settings.pooling_type = LLAMA_POOLING_TYPE_MEAN;
    const std::unique_ptr<llama_context, ContextFree> context(llama_init_from_model(model.get(), settings));
    if (context == nullptr) return {};
    llama_batch batch = llama_batch_init(64, 0, 1);
    for (int i = 0; i < 40; ++i) {
        batch.token[i] = 4 + i * 7 % 256;
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = 40;
    const int failed = llama_decode(context.get(), batch);
    llama_batch_free(batch);
    if (failed != 0) return {};
    if (embeds) {
        const float* vector = llama_get_embeddings_seq(context.get(), 0);
        return {vector, vector + llama_model_n_embd_out(model.get())};
    }
    std::vector<float> out;
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    for (int i = 0; i < 40; ++i) {
        const float* row = llama_get_logits_ith(context.get(), i);
        out.insert(out.end(), row, row + n_vocab);
    }
    return out;
}

class Translated : public testing::TestWithParam<AgedFamily> {
  protected:
    void SetUp() override { Model::prepare_process(); }

    /// The aged file's path.
    std::string age(const std::string& proper, const Ageing& how) {
        std::string path = (folder_.path() / "aged.gguf").string();
        write_aged(proper, path, how);
        put_early_nibbles(path);
        return path;
    }

    /// Two neighbours in a byte, where ggml has values 0 to 15 in the low halves and 16 to 31 in the high ones.
    static void put_early_nibbles(const std::string& path) {
        auto file = gguf::open_model_file(path);
        const auto outline = gguf::read_outline(file->in, file->size);
        ASSERT_TRUE(outline) << outline.error().message;
        std::fstream bytes(path, std::ios::binary | std::ios::in | std::ios::out);
        for (const Tensor& tensor : outline->tensors) {
            if (tensor.type != gguf::kTensorEarlyMxfp4) continue;
            for (std::uint64_t at = tensor.begin; at < tensor.begin + tensor.bytes; at += 17) {
                char now[16];
                char early[16];
                bytes.seekg(static_cast<std::streamoff>(at + 1)).read(now, 16);
                const auto value = [&](int i) { return i < 16 ? now[i] & 0xF : (now[i - 16] >> 4) & 0xF; };
                for (int i = 0; i < 16; ++i) early[i] = static_cast<char>(value(2 * i) | value(2 * i + 1) << 4);
                bytes.seekp(static_cast<std::streamoff>(at + 1)).write(early, 16);
            }
        }
    }

    TemporaryFolder folder_;
};

TEST_P(Translated, ComputesTheSame) {
    const AgedFamily& one = GetParam();
    const std::string proper = (folder_.path() / "proper.gguf").string();
    ASSERT_TRUE(write_tiny_model(one.shape, proper));
    const auto untouched = gguf::VirtualFile::translated(proper);
    ASSERT_TRUE(untouched) << untouched.error().message;
    EXPECT_FALSE(*untouched) << "a proper file is left alone";
    const std::vector<float> expected = results({proper, {}}, one.embeds);
    ASSERT_FALSE(expected.empty());

    const std::string aged = age(proper, one.age);
    EXPECT_TRUE(results({aged, {}}, one.embeds).empty()) << "it is aged, and loads as it is";
    auto translated = gguf::VirtualFile::translated(aged);
    ASSERT_TRUE(translated) << translated.error().message;
    ASSERT_TRUE(*translated);
    const std::vector<float> found = results({aged, std::move(*translated)}, one.embeds);
    ASSERT_EQ(found.size(), expected.size());
    EXPECT_EQ(found, expected) << "bit for bit";
}

const auto kByName = [](const testing::TestParamInfo<AgedFamily>& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(Gemma, Translated, testing::ValuesIn(aged_gemmas()), kByName);
INSTANTIATE_TEST_SUITE_P(Qwen, Translated, testing::ValuesIn(aged_qwens()), kByName);
INSTANTIATE_TEST_SUITE_P(Others, Translated, testing::ValuesIn(aged_others()), kByName);

}  // namespace
}  // namespace sutazai::llama
