// Files in the form in which Ollama published them compute what those do that llama.cpp expects: each is made by ageing
// a proper one.
#include <gtest/gtest.h>
#include <llama.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "gguf/byte_reader.h"
#include "gguf/draft.h"
#include "gguf/virtual_file.h"
#include "llama/model.h"
#include "llama/testing/tiny_model.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using gguf::Draft;
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

/// A tensor that the file is not to have for text; its numbers are those of the first one.
void add_tensor(gguf::Outline& outline, const std::string& name) {
    Tensor more = outline.tensors.front();
    more.name = name;
    outline.tensors.push_back(more);
}

void add_vision(gguf::Outline& outline) {
    add_tensor(outline, "v.blk.0.attn_q.weight");
    add_tensor(outline, "mm.0.weight");
}

/// Words of images behind all others.
void add_words(Draft& draft, gguf::Outline& outline) {
    const std::uint64_t before = draft.texts("tokenizer.ggml.tokens").value().size();
    ASSERT_EQ(before, kTinyTokens);
    (void)draft.i32s("tokenizer.ggml.token_type");
    for (gguf::Pair& pair : outline.pairs) {
        const bool tokens = pair.key == "tokenizer.ggml.tokens";
        if (!tokens && pair.key != "tokenizer.ggml.scores" && pair.key != "tokenizer.ggml.token_type") continue;
        ASSERT_FALSE(pair.value.place) << pair.key;
        pair.value.count += 2;
        for (const std::string word : {"<image>", "<sound>"}) {
            if (tokens) gguf::append_bytes<std::uint64_t>(pair.value.bytes, word.size());
            if (tokens) pair.value.bytes += word;
            if (!tokens) gguf::append_bytes<std::uint32_t>(pair.value.bytes, 1);
        }
    }
}

struct Case {
    std::string name;
    TinyShape shape;
    std::function<void(Draft& draft, gguf::Outline& outline)> age;
    bool embeds = false;
    bool loads_as_it_is = false;  ///< and computes something else, or the same
};
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

class Translated : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override { Model::prepare_process(); }

    /// The aged file's path.
    std::string age(const std::string& proper, const std::function<void(Draft&, gguf::Outline&)>& how) {
        auto file = gguf::open_model_file(proper);
        auto outline = gguf::read_outline(file->in, file->size);
        EXPECT_TRUE(outline) << outline.error().message;
        Draft draft(*outline, file->in);
        how(draft, *outline);
        std::string path = (folder_.path() / "aged.gguf").string();
        dump(gguf::VirtualFile::over(proper, *outline).value(), path);
        return path;
    }

    static void dump(const gguf::VirtualFile& file, const std::string& path) {
        std::string bytes(file.size(), '\0');
        EXPECT_EQ(file.read(0, bytes.data(), bytes.size()), bytes.size());
        std::ofstream(path, std::ios::binary) << bytes;
    }

    TemporaryFolder folder_;
};

TEST_P(Translated, ComputesTheSame) {
    const Case& one = GetParam();
    const std::string proper = (folder_.path() / "proper.gguf").string();
    ASSERT_TRUE(write_tiny_model(one.shape, proper));
    const auto untouched = gguf::VirtualFile::translated(proper);
    ASSERT_TRUE(untouched) << untouched.error().message;
    EXPECT_FALSE(*untouched) << "a proper file is left alone";
    const std::vector<float> expected = results({proper, {}}, one.embeds);
    ASSERT_FALSE(expected.empty());

    const std::string aged = age(proper, one.age);
    if (!one.loads_as_it_is) {
        EXPECT_TRUE(results({aged, {}}, one.embeds).empty()) << "it is aged, and loads as it is";
    }
    auto translated = gguf::VirtualFile::translated(aged);
    ASSERT_TRUE(translated) << translated.error().message;
    ASSERT_TRUE(*translated);
    const std::vector<float> found = results({aged, std::move(*translated)}, one.embeds);
    ASSERT_EQ(found.size(), expected.size());
    EXPECT_EQ(found, expected) << "bit for bit";
}

using Values = std::vector<std::pair<std::string, TinyValue>>;
Values with(Values some, const Values& more) {
    some.insert(some.end(), more.begin(), more.end());
    return some;
}

const Values kGemma{{"block_count", 7U},
                    {"attention.key_length", 32U},
                    {"attention.value_length", 32U},
                    {"attention.sliding_window", 16U},
                    {"rope.freq_base", 1'000'000.0F},
                    {"rope.freq_base_swa", 10'000.0F}};
const Values kExperts{{"expert_count", 4U},
                      {"expert_used_count", 2U},
                      {"expert_feed_forward_length", 64U},
                      {"expert_shared_feed_forward_length", 64U},
                      {"expert_shared_count", 1U}};

std::vector<Case> gemmas() {
    using Words = TinyShape::Words;
    std::vector<Case> out;
    out.push_back(
        {"gemma3_1b", {"gemma3", kGemma, Words::kPieces}, [](Draft& draft, gguf::Outline&) {
             draft.copy("gemma3.rope.freq_base", "gemma3.rope.global.freq_base");
             draft.copy("gemma3.rope.freq_base_swa", "gemma3.rope.local.freq_base");
             for (const char* key : {"rope.freq_base", "rope.freq_base_swa", "attention.layer_norm_rms_epsilon"}) {
                 draft.remove(std::string("gemma3.") + key);
             }
         }});
    out.push_back({"gemma3_4b",
                   {"gemma3",
                    with(kGemma, {{"context_length", 131072U},
                                  {"rope.scaling.type", std::string("linear")},
                                  {"rope.scaling.factor", 8.0F}}),
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline& outline) {
                       for (const char* key : {"rope.freq_base", "rope.freq_base_swa", "rope.scaling.type",
                                               "rope.scaling.factor", "attention.layer_norm_rms_epsilon"}) {
                           draft.remove(std::string("gemma3.") + key);
                       }
                       draft.set_u32("gemma3.mm.tokens_per_image", 256);
                       add_words(draft, outline);
                       add_vision(outline);
                   }});
    out.push_back({"embeddinggemma",
                   {"gemma-embedding",
                    with(kGemma, {{"dense_2_feat_in", 64U},
                                  {"dense_2_feat_out", 128U},
                                  {"dense_3_feat_in", 128U},
                                  {"dense_3_feat_out", 64U}}),
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_architecture("gemma-embedding", "gemma3");
                       for (const char* key : {"dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in",
                                               "dense_3_feat_out", "rope.freq_base_swa"}) {
                           draft.remove(std::string("gemma3.") + key);
                       }
                       draft.set_u32("gemma3.attention.sliding_window_pattern", 6);
                       draft.rename_tensor("dense_2.weight", "dense.0.weight");
                       draft.rename_tensor("dense_3.weight", "dense.1.weight");
                       draft.rename_tensor("output_norm.weight", "norm.weight");
                   },
                   true});
    out.push_back({"gemma3n",
                   {"gemma3n",
                    {{"attention.head_count", 1U}, {"block_count", 22U}, {"attention.sliding_window", 16U}},
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline& outline) {
                       add_words(draft, outline);
                       auto types = draft.i32s("tokenizer.ggml.token_type").value();
                       for (std::int32_t& type : types) type = type == 6 ? 1 : type;
                       draft.set_i32s("tokenizer.ggml.token_type", types);
                       Tensor* table = draft.tensor("token_embd.weight");
                       table->pieces = {{table->begin, table->bytes}, {table->begin, table->bytes / kTinyTokens * 2}};
                       table->shape[1] += 2;
                       table->bytes += table->pieces[1].bytes;
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                   }});
    return out;
}
INSTANTIATE_TEST_SUITE_P(Gemma, Translated, testing::ValuesIn(gemmas()),
                         [](const auto& info) { return info.param.name; });

std::vector<Case> qwens() {
    const std::vector<std::uint32_t> sections{8, 4, 4, 0};
    const auto no_sections = [](const std::string& prefix) {
        return [prefix](Draft& draft, gguf::Outline& outline) {
            draft.remove(prefix + "rope.dimension_sections");
            draft.remove(prefix + "n_deepstack_layers");
            draft.set_i32s(prefix + "vision.deepstack_visual_indexes", std::vector<std::int32_t>{1, 2, 3});
            add_vision(outline);
        };
    };
    const Values deep{{"rope.dimension_sections", std::vector<std::uint32_t>{24, 20, 20, 0}},
                      {"attention.key_length", 128U},
                      {"attention.value_length", 128U},
                      {"n_deepstack_layers", 3U}};
    const Values recurrent{{"rope.dimension_sections", sections},
                           {"ssm.inner_size", 256U},
                           {"ssm.conv_kernel", 4U},
                           {"ssm.state_size", 128U},
                           {"ssm.time_step_rank", 2U},
                           {"ssm.group_count", 2U},
                           {"full_attention_interval", 2U}};
    const auto age_recurrent = [](const std::string& prefix) {
        return [prefix](Draft& draft, gguf::Outline& outline) {
            draft.set_i32s(prefix + "attention.head_count_kv", std::vector<std::int32_t>{0, 1});
            draft.set_i32s(prefix + "rope.dimension_sections", std::vector<std::int32_t>{8, 4, 4});
            draft.set_u32(prefix + "ssm.v_head_reordered", 1);
            draft.rename_part(".ssm_dt.bias", ".ssm_dt");
            add_tensor(outline, "mtp.layers.0.input_layernorm.weight");
            add_tensor(outline, "mtp.fc.weight");
            add_vision(outline);
        };
    };
    std::vector<Case> out;
    out.push_back(
        {"qwen25vl", {"qwen2vl", {{"rope.dimension_sections", sections}}}, [](Draft& draft, gguf::Outline& outline) {
             draft.rename_architecture("qwen2vl", "qwen25vl");
             draft.remove("qwen25vl.rope.dimension_sections");
             draft.set_i32s("qwen25vl.rope.mrope_section", std::vector<std::int32_t>{8, 4, 4});
             add_vision(outline);
         }});
    out.push_back({"qwen3vl", {"qwen3vl", deep}, no_sections("qwen3vl.")});
    out.push_back({"qwen3vlmoe", {"qwen3vlmoe", with(deep, kExperts)}, no_sections("qwen3vlmoe.")});
    out.push_back({"qwen35", {"qwen35", recurrent}, age_recurrent("qwen35.")});
    out.push_back({"qwen35moe", {"qwen35moe", with(recurrent, kExperts)}, age_recurrent("qwen35moe.")});
    out.push_back({"qwen3next", {"qwen3next", with(recurrent, kExperts)}, [](Draft& draft, gguf::Outline&) {
                       draft.set_i32s("qwen3next.attention.head_count_kv", std::vector<std::int32_t>{0, 1});
                       draft.rename_part(".ssm_dt.bias", ".ssm_dt");
                   }});
    return out;
}
INSTANTIATE_TEST_SUITE_P(Qwen, Translated, testing::ValuesIn(qwens()),
                         [](const auto& info) { return info.param.name; });

std::vector<Case> others() {
    std::vector<Case> out;
    out.push_back({"mistral3",
                   {"mistral3",
                    {{"rope.scaling.type", std::string("yarn")},
                     {"rope.scaling.factor", 4.0F},
                     {"rope.scaling.original_context_length", 64U},
                     {"rope.scaling.yarn_beta_fast", 16.0F},
                     {"rope.scaling.yarn_beta_slow", 2.0F},
                     {"rope.scaling.yarn_log_multiplier", 1.0F},
                     {"attention.temperature_scale", 0.1F}},
                    TinyShape::Words::kBytePairs,
                    "tekken"},
                   [](Draft& draft, gguf::Outline& outline) {
                       const std::vector<std::pair<const char*, const char*>> keys{
                           {"rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"},
                           {"rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"},
                           {"rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"},
                           {"attention.temperature_scale", "rope.scaling_beta"}};
                       for (const auto& [proper, old] : keys) {
                           draft.copy(std::string("mistral3.") + proper, std::string("mistral3.") + old);
                           draft.remove(std::string("mistral3.") + proper);
                       }
                       draft.set_text("tokenizer.ggml.pre", "default");
                       add_vision(outline);
                   }});
    out.push_back({"llama4",
                   {"llama4", with(kExperts, {{"block_count", 4U}, {"interleave_moe_layer_step", 2U}})},
                   [](Draft&, gguf::Outline& outline) { add_vision(outline); }});
    return out;
}
INSTANTIATE_TEST_SUITE_P(Others, Translated, testing::ValuesIn(others()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sutazai::llama
