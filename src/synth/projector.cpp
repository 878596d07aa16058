#include "synth/projector.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "synth/gguf_output.h"
#include "synth/synth_weights.h"

namespace sutazai::synth {
namespace {

constexpr std::uint32_t kWidth = 64;
constexpr std::uint32_t kHeads = 2;
constexpr std::uint32_t kFeedForward = 128;
constexpr std::uint32_t kLayers = 2;
constexpr std::uint32_t kPatch = 8;
constexpr std::uint32_t kImage = 32;
static_assert((kImage / kPatch) * (kImage / kPatch) == kProjectedRows);

struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;  ///< as ggml has it: the row first
    bool is_one = false;              ///< a scale of a norm

    [[nodiscard]] std::int64_t values() const {
        std::int64_t n = 1;
        for (const std::int64_t side : shape) n *= side;
        return n;
    }
};

std::vector<Tensor> tensors_for(std::uint32_t embedding) {
    std::vector<Tensor> all{{"v.patch_embd.weight", {kPatch, kPatch, 3, kWidth}},
                            {"v.position_embd.weight", {kWidth, kProjectedRows}},
                            {"v.pre_ln.weight", {kWidth}, true},
                            {"v.pre_ln.bias", {kWidth}}};
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
        const auto add = [&](const char* name, std::vector<std::int64_t> shape, bool is_one = false) {
            all.push_back({fmt::format("v.blk.{}.{}", layer, name), std::move(shape), is_one});
        };
        for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_out"}) {
            add(fmt::format("{}.weight", name).c_str(), {kWidth, kWidth});
            add(fmt::format("{}.bias", name).c_str(), {kWidth});
        }
        for (const char* name : {"ln1", "ln2"}) {
            add(fmt::format("{}.weight", name).c_str(), {kWidth}, true);
            add(fmt::format("{}.bias", name).c_str(), {kWidth});
        }
        add("ffn_up.weight", {kWidth, kFeedForward});
        add("ffn_up.bias", {kFeedForward});
        add("ffn_down.weight", {kFeedForward, kWidth});
        add("ffn_down.bias", {kWidth});
    }
    all.push_back({"mm.0.weight", {kWidth, embedding}});
    all.push_back({"mm.0.bias", {embedding}});
    all.push_back({"mm.2.weight", {embedding, embedding}});
    all.push_back({"mm.2.bias", {embedding}});
    return all;
}

void write_shape(std::uint32_t embedding, gguf_context* file) {
    gguf_set_val_str(file, "general.architecture", "clip");
    gguf_set_val_str(file, "general.name", "synthetic-projector");
    gguf_set_val_u32(file, "general.file_type", 0);
    gguf_set_val_bool(file, "clip.has_vision_encoder", true);
    gguf_set_val_str(file, "clip.projector_type", "mlp");
    gguf_set_val_u32(file, "clip.vision.image_size", kImage);
    gguf_set_val_u32(file, "clip.vision.patch_size", kPatch);
    gguf_set_val_u32(file, "clip.vision.embedding_length", kWidth);
    gguf_set_val_u32(file, "clip.vision.feed_forward_length", kFeedForward);
    gguf_set_val_u32(file, "clip.vision.block_count", kLayers);
    gguf_set_val_u32(file, "clip.vision.projection_dim", embedding);
    gguf_set_val_u32(file, "clip.vision.attention.head_count", kHeads);
    gguf_set_val_f32(file, "clip.vision.attention.layer_norm_epsilon", 1e-5F);
    constexpr std::array<float, 3> kMean{0.5F, 0.5F, 0.5F};
    gguf_set_arr_data(file, "clip.vision.image_mean", GGUF_TYPE_FLOAT32, kMean.data(), kMean.size());
    gguf_set_arr_data(file, "clip.vision.image_std", GGUF_TYPE_FLOAT32, kMean.data(), kMean.size());
    gguf_set_val_bool(file, "clip.use_gelu", true);
}

/// The head of the file has the names and shapes; their bytes are written behind it.
void add_tensors(const std::vector<Tensor>& tensors, gguf_context* file) {
    const ggml_init_params params{ggml_tensor_overhead() * (tensors.size() + 1), nullptr, true};
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> names(ggml_init(params), ggml_free);
    for (const Tensor& tensor : tensors) {
        ggml_tensor* made =
            ggml_new_tensor(names.get(), GGML_TYPE_F32, static_cast<int>(tensor.shape.size()), tensor.shape.data());
        ggml_set_name(made, tensor.name.c_str());
        gguf_add_tensor(file, made);
    }
}

std::vector<float> values_of(const Tensor& tensor, std::uint64_t seed) {
    std::vector<float> values(static_cast<std::size_t>(tensor.values()), 1.0F);
    if (tensor.is_one) return values;
    // A product of a row keeps the size of what goes in; patches and the last layer tell images apart.
    const std::int64_t inputs =
        tensor.name == "v.patch_embd.weight" ? std::int64_t{kPatch} * kPatch * 3 : tensor.shape[0];
    const float deviation = tensor.shape.size() == 1 ? 0.02F : 1.5F / std::sqrt(static_cast<float>(inputs));
    RandomRows(seed, tensor.name).fill(0, deviation, values);
    return values;
}

}  // namespace

Result<void> write_projector(const ProjectorOptions& options) {
    if (options.embedding == 0 || options.embedding > 65536 || options.embedding % 32 != 0) {
        return fail(ErrorCode::kInvalidArgument, "embedding must be a multiple of 32, at most 65536", "embedding");
    }
    if (options.output.empty()) return fail(ErrorCode::kInvalidArgument, "output must name a file", "output");
    const std::vector<Tensor> tensors = tensors_for(options.embedding);
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> metadata(gguf_init_empty(), gguf_free);
    write_shape(options.embedding, metadata.get());
    add_tensors(tensors, metadata.get());
    return write_gguf(options.output, metadata.get(), [&](std::ofstream& file) {
        for (const Tensor& tensor : tensors) {
            const std::vector<float> values = values_of(tensor, options.seed);
            file.write(reinterpret_cast<const char*>(values.data()),
                       static_cast<std::streamsize>(values.size() * sizeof(float)));
            const std::size_t padding =
                GGML_PAD(values.size() * sizeof(float), GGUF_DEFAULT_ALIGNMENT) - values.size() * sizeof(float);
            const std::string zeros(padding, '\0');
            file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
        }
    });
}

}  // namespace sutazai::synth
