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
#include "llama/testing/aged_file.h"
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
    Ageing age;
    bool embeds = false;
};
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

class Translated : public testing::TestWithParam<Case> {
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
    const Case& one = GetParam();
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
    out.push_back({"gemma4",
                   {"gemma4",
                    {{"block_count", 5U},
                     {"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"attention.key_length_swa", 32U},
                     {"attention.value_length_swa", 32U},
                     {"attention.sliding_window", 16U},
                     {"attention.sliding_window_pattern", std::vector<std::uint32_t>{1, 1, 1, 1, 0}},
                     {"attention.shared_kv_layers", 0U},
                     {"embedding_length_per_layer_input", 32U},
                     {"rope.freq_base_swa", 10'000.0F},
                     {"expert_count", 4U},
                     {"expert_used_count", 2U},
                     {"expert_feed_forward_length", 64U}},
                    Words::kGemma4},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.set_text("tokenizer.ggml.model", "llama");
                       EXPECT_NE(draft.tensor("blk.0.ffn_down_exps.scale"), nullptr);
                       draft.rename_part(".ffn_down_exps.scale", ".ffn_gate_inp.per_expert_scale");
                       // Gate and up of each expert one after the other become a tensor each.
                       std::vector<Tensor> ups;
                       for (Tensor& tensor : outline.tensors) {
                           const auto at = tensor.name.find("ffn_gate_up_exps");
                           if (at == std::string::npos) continue;
                           const std::uint64_t half = tensor.bytes / tensor.shape[2] / 2;
                           tensor.shape[1] /= 2;
                           tensor.bytes /= 2;
                           Tensor up = tensor;
                           tensor.name.replace(at, 16, "ffn_gate_exps");
                           up.name.replace(at, 16, "ffn_up_exps");
                           for (std::uint64_t i = 0; i < tensor.shape[2]; ++i) {
                               tensor.pieces.push_back({tensor.begin + 2 * i * half, half});
                               up.pieces.push_back({tensor.begin + (2 * i + 1) * half, half});
                           }
                           ups.push_back(up);
                       }
                       outline.tensors.insert(outline.tensors.end(), ups.begin(), ups.end());
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                       add_tensor(outline, "model.vision_tower.x");
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

const Values kGptOss{{"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"attention.sliding_window", 16U},
                     {"rope.freq_base", 150'000.0F},
                     {"rope.scaling.type", std::string("yarn")},
                     {"rope.scaling.factor", 4.0F},
                     {"rope.scaling.original_context_length", 64U}};

void age_gpt_oss(Draft& draft, gguf::Outline&) {
    draft.rename_architecture("gpt-oss", "gptoss");
    draft.remove("gptoss.expert_feed_forward_length");
    draft.remove("gptoss.rope.scaling.type");
    draft.set_text("tokenizer.ggml.pre", "default");
    draft.rename_part(".attn_output.", ".attn_out.");
    draft.rename_part(".attn_sinks.weight", ".attn_sinks");
    draft.rename_part(".post_attention_norm.", ".ffn_norm.");
}

const Values kNemotron = with(kExperts, {{"block_count", 3U},
                                         {"feed_forward_length", std::vector<std::uint32_t>{0, 0, 96}},
                                         {"attention.head_count", std::vector<std::uint32_t>{2, 0, 2}},
                                         {"attention.head_count_kv", std::vector<std::uint32_t>{2, 0, 2}},
                                         {"attention.layer_norm_epsilon", 1e-5F},
                                         {"ssm.inner_size", 128U},
                                         {"ssm.conv_kernel", 4U},
                                         {"ssm.state_size", 16U},
                                         {"ssm.time_step_rank", 2U},
                                         {"ssm.group_count", 2U}});

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
    out.push_back(
        {"gptoss", {"gpt-oss", with(kGptOss, kExperts), TinyShape::Words::kBytePairs, "gpt-4o"}, age_gpt_oss});
    out.push_back({"gptoss_mxfp4",
                   {"gpt-oss", with(kGptOss, kExperts), TinyShape::Words::kBytePairs, "gpt-4o", true},
                   [](Draft& draft, gguf::Outline& outline) {
                       age_gpt_oss(draft, outline);
                       for (Tensor& tensor : outline.tensors) {
                           if (tensor.type == gguf::kTensorMxfp4) tensor.type = gguf::kTensorEarlyMxfp4;
                       }
                   }});
    out.push_back(
        {"deepseekocr",
         {"deepseek2-ocr", with(kExperts, {{"leading_dense_block_count", 1U}, {"attention.head_count_kv", 2U}})},
         [](Draft& draft, gguf::Outline& outline) {
             draft.rename_architecture("deepseek2-ocr", "deepseekocr");
             draft.remove("deepseekocr.expert_feed_forward_length");
             draft.remove("deepseekocr.expert_shared_count");
             draft.remove("deepseekocr.attention.layer_norm_rms_epsilon");
             add_vision(outline);
             add_tensor(outline, "s.blk.0.attn_q.weight");
         }});
    out.push_back({"glmocr",
                   {"glm4",
                    {{"rope.dimension_sections", std::vector<std::uint32_t>{8, 4, 4, 0}},
                     {"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"rope.dimension_count", 32U}},
                    TinyShape::Words::kBytePairs,
                    "chatglm-bpe"},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.rename_architecture("glm4", "glmocr");
                       draft.remove("glmocr.rope.dimension_sections");
                       draft.remove("glmocr.rope.dimension_count");
                       draft.set_i32s("glmocr.rope.mrope_section", std::vector<std::int32_t>{8, 4, 4});
                       draft.set_text("tokenizer.ggml.pre", "llama-bpe");
                       draft.rename_part(".attn_output.", ".attn_out.");
                       draft.rename_part(".post_attention_norm.", ".post_attn_norm.");
                       draft.rename_part(".post_ffw_norm.", ".post_ffn_norm.");
                       std::vector<Tensor> gates;
                       for (Tensor& tensor : outline.tensors) {
                           if (!tensor.name.ends_with(".ffn_up.weight")) continue;
                           tensor.shape[1] /= 2;
                           tensor.bytes /= 2;
                           Tensor gate = tensor;
                           gate.name.replace(gate.name.find("ffn_up"), 6, "ffn_gate");
                           gates.push_back(gate);
                           tensor.begin += tensor.bytes;  // the gate is the first half
                       }
                       outline.tensors.insert(outline.tensors.end(), gates.begin(), gates.end());
                       add_vision(outline);
                   }});
    out.push_back({"glm4moelite",
                   {"deepseek2",
                    with(kExperts, {{"attention.head_count_kv", 1U},
                                    {"attention.q_lora_rank", 32U},
                                    {"attention.kv_lora_rank", 32U},
                                    {"attention.key_length", 48U},
                                    {"attention.value_length", 32U},
                                    {"attention.key_length_mla", 40U},
                                    {"attention.value_length_mla", 40U},
                                    {"rope.dimension_count", 16U},
                                    {"leading_dense_block_count", 1U},
                                    {"expert_gating_func", 2U},
                                    {"expert_group_count", 1U},
                                    {"expert_group_used_count", 1U}}),
                    TinyShape::Words::kBytePairs, "glm4"},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_architecture("deepseek2", "glm4moelite");
                       draft.set_u32("glm4moelite.attention.head_count_kv", 2);
                       draft.set_u32("glm4moelite.attention.key_length", 40);
                       draft.set_u32("glm4moelite.attention.value_length", 40);
                       draft.set_u32("glm4moelite.attention.key_length_mla", 48);
                       draft.set_u32("glm4moelite.attention.value_length_mla", 32);
                       draft.remove("glm4moelite.expert_group_count");
                       draft.remove("glm4moelite.expert_group_used_count");
                       draft.set_text("tokenizer.ggml.pre", "default");
                       draft.set_i32s("tokenizer.ggml.eos_token_ids", std::vector<std::int32_t>{1, 3, 0});
                   }});
    out.push_back({"lfm2",
                   {"lfm2",
                    {{"shortconv.l_cache", 3U},
                     {"attention.head_count", 2U},
                     {"attention.head_count_kv", std::vector<std::uint32_t>{0, 2}}},
                    TinyShape::Words::kBytePairs,
                    "lfm2"},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_tensor("token_embd_norm.weight", "output_norm.weight");
                       draft.set_u32("lfm2.feed_forward_length", 1000);
                       draft.set_text("tokenizer.ggml.pre", "default");
                   }});
    out.push_back({"olmo3",
                   {"olmo2", {{"attention.sliding_window", 16U}, {"block_count", 4U}}},
                   [](Draft& draft, gguf::Outline&) { draft.rename_architecture("olmo2", "olmo3"); }});
    out.push_back({"nemotron_h_moe",
                   {"nemotron_h_moe", with(kNemotron, {{"moe_latent_size", 32U}})},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.remove("nemotron_h_moe.moe_latent_size");
                       draft.rename_part(".ffn_latent_down.", ".ffn_latent_in.");
                       draft.rename_part(".ffn_latent_up.", ".ffn_latent_out.");
                       add_tensor(outline, "mtp.layers.0.mixer.experts.0.up_proj.weight");
                   }});
    out.push_back({"nemotron_h_omni", {"nemotron_h_moe", kNemotron}, [](Draft& draft, gguf::Outline& outline) {
                       draft.rename_architecture("nemotron_h_moe", "nemotron_h_omni");
                       draft.set_u32("nemotron_h_omni.vision.block_count", 3);
                       draft.set_u32("nemotron_h_omni.audio.block_count", 3);
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                   }});
    out.push_back({"laguna",
                   {"laguna", with(kExperts, {{"block_count", 4U},
                                              {"leading_dense_block_count", 1U},
                                              {"attention.key_length", 32U},
                                              {"attention.value_length", 32U},
                                              {"attention.sliding_window", 16U},
                                              {"rope.dimension_count", 16U},
                                              {"rope.dimension_count_swa", 32U},
                                              {"rope.freq_base", 500'000.0F},
                                              {"rope.freq_base_swa", 10'000.0F}})},
                   [](Draft& draft, gguf::Outline&) {
                       draft.copy("laguna.rope.dimension_count_swa", "laguna.rope.swa.dimension_count");
                       draft.copy("laguna.rope.freq_base_swa", "laguna.rope.swa.freq_base");
                       draft.remove("laguna.rope.dimension_count_swa");
                       draft.remove("laguna.rope.freq_base_swa");
                       draft.rename_part(".attn_gate.", ".attn_g.");
                   }});
    return out;
}
INSTANTIATE_TEST_SUITE_P(Others, Translated, testing::ValuesIn(others()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sutazai::llama
