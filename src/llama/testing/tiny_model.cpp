#include "llama/testing/tiny_model.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <gguf.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

using File = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

void put(gguf_context* file, const std::string& key, const TinyValue& value) {
    const char* name = key.c_str();
    if (const auto* number = std::get_if<std::uint32_t>(&value)) gguf_set_val_u32(file, name, *number);
    if (const auto* real = std::get_if<float>(&value)) gguf_set_val_f32(file, name, *real);
    if (const auto* flag = std::get_if<bool>(&value)) gguf_set_val_bool(file, name, *flag);
    if (const auto* text = std::get_if<std::string>(&value)) gguf_set_val_str(file, name, text->c_str());
    if (const auto* list = std::get_if<std::vector<std::uint32_t>>(&value)) {
        gguf_set_arr_data(file, name, GGUF_TYPE_UINT32, list->data(), list->size());
    }
}

/// As GPT-2 writes a byte: printable ones as they are, others moved up.
std::string byte_letter(int byte) {
    const auto printable = [](int c) {
        return (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255);
    };
    int code = byte;
    if (!printable(byte)) {
        code = 256;
        for (int i = 0; i < byte; ++i) code += printable(i) ? 0 : 1;
    }
    std::string out;
    if (code < 128) {
        out += static_cast<char>(code);
    } else {
        out += static_cast<char>(0xC0 | code >> 6);
        out += static_cast<char>(0x80 | (code & 0x3F));
    }
    return out;
}

void put_words(gguf_context* file, const TinyShape& shape) {
    constexpr std::int32_t kNormal = 1;
    constexpr std::int32_t kControl = 3;
    constexpr std::int32_t kByte = 6;
    const bool pieces = shape.words == TinyShape::Words::kPieces;
    std::vector<std::string> texts{"<pad>", "<eos>", "<bos>", "<unk>"};
    std::vector<std::int32_t> types(texts.size(), kControl);
    for (int byte = 0; byte < 256; ++byte) {
        texts.push_back(pieces ? fmt::format("<0x{:02X}>", byte) : byte_letter(byte));
        types.push_back(pieces ? kByte : kNormal);
    }
    while (texts.size() < kTinyTokens) {
        texts.push_back(fmt::format("<unused{}>", texts.size()));
        types.push_back(kNormal);
    }
    std::vector<const char*> pointers;
    pointers.reserve(texts.size());
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    std::vector<float> scores(texts.size());
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
    const bool gemma4 = shape.words == TinyShape::Words::kGemma4;
    gguf_set_val_str(file, "tokenizer.ggml.model", pieces ? "llama" : gemma4 ? "gemma4" : "gpt2");
    if (!pieces && !shape.pre.empty()) gguf_set_val_str(file, "tokenizer.ggml.pre", shape.pre.c_str());
    gguf_set_arr_str(file, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
    const char* merge = "a b";
    gguf_set_arr_str(file, "tokenizer.ggml.merges", &merge, 1);
    gguf_set_val_u32(file, "tokenizer.ggml.padding_token_id", 0);
    gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", 1);
    gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 2);
    gguf_set_val_u32(file, "tokenizer.ggml.unknown_token_id", 3);
}

struct Recorded {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<float> numbers;
};

/// llama.cpp asks for the numbers of each tensor that it wants.
void record(ggml_tensor* tensor, void* user) {
    auto& all = *static_cast<std::vector<Recorded>*>(user);
    Recorded one{tensor->name, {tensor->ne, tensor->ne + ggml_n_dims(tensor)}, {}};
    ASSERT_EQ(tensor->type, GGML_TYPE_F32) << tensor->name;
    std::mt19937 random(static_cast<std::uint32_t>(std::hash<std::string>{}(one.name)));
    const bool is_norm = one.name.find("norm") != std::string::npos;
    const bool short_ones = one.name.ends_with("_exps.bias");  // a bfloat16 can hold them
    const bool decays = one.name.find("ssm_a") != std::string::npos;
    for (std::int64_t i = 0; i < ggml_nelements(tensor); ++i) {
        const float number = static_cast<float>(random() % 2001) / 10000.0F - 0.1F;
        if (short_ones) {
            one.numbers.push_back(std::bit_cast<float>(std::bit_cast<std::uint32_t>(number) & 0xFFFF0000U));
            continue;
        }
        one.numbers.push_back(decays ? -std::abs(number) : number + (is_norm ? 1.0F : 0.0F));
    }
    ggml_backend_tensor_set(tensor, one.numbers.data(), 0, ggml_nbytes(tensor));
    const auto known = std::ranges::find(all, one.name, &Recorded::name);
    if (known == all.end()) all.push_back(std::move(one));
}

void write(gguf_context* file, const TinyShape& shape, const std::vector<Recorded>& tensors,
           const std::filesystem::path& path) {
    std::size_t bytes = 0;
    for (const Recorded& one : tensors) bytes += one.numbers.size() * sizeof(float) + ggml_tensor_overhead() + 64;
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> memory(ggml_init({bytes + 1024, nullptr, false}),
                                                                     ggml_free);
    for (const Recorded& one : tensors) {
        if (std::ranges::any_of(shape.without, [&](const std::string& end) { return one.name.ends_with(end); }))
            continue;
        const bool small = shape.mxfp4_experts && one.name.ends_with("_exps.weight");
        const ggml_type type = small ? GGML_TYPE_MXFP4 : GGML_TYPE_F32;
        ggml_tensor* tensor = ggml_new_tensor(memory.get(), type, static_cast<int>(one.shape.size()), one.shape.data());
        ggml_set_name(tensor, one.name.c_str());
        ggml_quantize_chunk(type, one.numbers.data(), tensor->data, 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
        gguf_add_tensor(file, tensor);
    }
    gguf_write_to_file(file, path.c_str(), false);
}

}  // namespace

bool write_tiny_model(const TinyShape& shape, const std::filesystem::path& path) {
    const File file(gguf_init_empty(), gguf_free);
    const std::string prefix = shape.architecture + ".";
    gguf_set_val_str(file.get(), "general.architecture", shape.architecture.c_str());
    const std::vector<std::pair<std::string, TinyValue>> usual{
        {"vocab_size", kTinyTokens},     {"context_length", 256U},
        {"embedding_length", 64U},       {"block_count", 2U},
        {"feed_forward_length", 96U},    {"attention.head_count", 2U},
        {"attention.head_count_kv", 1U}, {"attention.layer_norm_rms_epsilon", 1e-6F},
    };
    for (const auto& [key, value] : usual) put(file.get(), prefix + key, value);
    for (const auto& [key, value] : shape.values) {
        gguf_remove_key(file.get(), (prefix + key).c_str());
        put(file.get(), prefix + key, value);
    }
    put_words(file.get(), shape);
    std::vector<Recorded> tensors;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    const LlamaModel model(llama_model_init_from_user(file.get(), record, &tensors, params));
    EXPECT_NE(model, nullptr) << shape.architecture;
    if (model != nullptr) write(file.get(), shape, tensors, path);
    return model != nullptr;
}

}  // namespace sutazai::llama
