#include "synth/synth.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "synth/gguf_output.h"
#include "synth/synth_plan.h"
#include "synth/synth_vocabulary.h"
#include "synth/synth_weights.h"

namespace sutazai::synth {
namespace {

// The logit of a token of Speech::Kind::kAfter where it belongs: above every free one.
constexpr float kAfterLogit = 20.0F;

Result<void> check(const SynthOptions& o) {
    const auto refuse = [](std::string_view field, std::string message) {
        return fail(ErrorCode::kInvalidArgument, std::move(message), std::string(field));
    };
    if (std::ranges::find(synth_architectures(), o.architecture) == synth_architectures().end()) {
        return refuse("architecture", fmt::format("architecture is '{}'; it must be one of {}", o.architecture,
                                                  fmt::join(synth_architectures(), ", ")));
    }
    if (find_quantisation(o.quantisation) == nullptr) {
        return refuse("quantisation", fmt::format("quantisation is '{}'; it must be one of {}", o.quantisation,
                                                  fmt::join(synth_quantisations(), ", ")));
    }
    if (o.layers < 1 || o.layers > 512) return refuse("layers", "layers must be 1 to 512");
    if (o.kv_heads < 1 || o.heads < 1 || o.heads % o.kv_heads != 0) {
        return refuse("heads", "heads must be a multiple of kv_heads");
    }
    if (o.embedding == 0 || o.embedding > 65536 || o.embedding % 32 != 0 || o.embedding % (2 * o.heads) != 0) {
        return refuse("embedding", "embedding must be a multiple of 32 and of twice the heads, at most 65536");
    }
    if (o.feed_forward == 0 || o.feed_forward > 262144 || o.feed_forward % 32 != 0) {
        return refuse("feed_forward", "feed_forward must be a multiple of 32, at most 262144");
    }
    if (o.architecture == "bert" && o.heads != o.kv_heads) {
        return refuse("kv_heads", "kv_heads must be as many as heads in a bert");
    }
    if (o.sliding_window > 0 && o.architecture != "gemma3") {
        return refuse("sliding_window", "only a gemma3 has a sliding_window");
    }
    if (o.pooling > 4) return refuse("pooling", "pooling must be 0 to 4");
    if (o.context_length < 16) return refuse("context_length", "context_length must be at least 16");
    if (o.output.empty()) return refuse("output", "output must name a file");
    return {};
}

void write_shape(const SynthOptions& o, std::uint32_t vocabulary, gguf_context* file) {
    const auto number = [&](std::string_view key, std::uint32_t value) {
        gguf_set_val_u32(file, fmt::format("{}.{}", o.architecture, key).c_str(), value);
    };
    const auto real = [&](std::string_view key, float value) {
        gguf_set_val_f32(file, fmt::format("{}.{}", o.architecture, key).c_str(), value);
    };
    gguf_set_val_str(file, "general.architecture", o.architecture.c_str());
    gguf_set_val_str(file, "general.name", o.name.c_str());
    gguf_set_val_u32(file, "general.file_type", find_quantisation(o.quantisation)->file_type);
    number("block_count", o.layers);
    number("context_length", o.context_length);
    number("embedding_length", o.embedding);
    if (o.architecture == "mamba") {  // as real ones say it
        number("feed_forward_length", 0);
        number("attention.head_count", 0);
    } else {
        number("feed_forward_length", o.feed_forward);
        number("attention.head_count", o.heads);
    }
    if (o.architecture == "jamba") {
        std::vector<std::uint32_t> heads;
        heads.reserve(o.layers);
        for (std::uint32_t layer = 0; layer < o.layers; ++layer)
            heads.push_back(is_recurrent(o, layer) ? 0 : o.kv_heads);
        gguf_set_arr_data(file, "jamba.attention.head_count_kv", GGUF_TYPE_UINT32, heads.data(), heads.size());
    } else if (o.architecture != "mamba") {
        number("attention.head_count_kv", o.kv_heads);
    }
    number("vocab_size", vocabulary);
    if (o.pooling > 0) number("pooling_type", o.pooling);
    if (o.architecture == "bert") {
        real("attention.layer_norm_epsilon", 1e-6F);
        gguf_set_val_bool(file, "bert.attention.causal", false);
        gguf_set_val_u32(file, "tokenizer.ggml.token_type_count", 2);
        return;
    }
    if (o.architecture != "mamba" && o.architecture != "jamba") {
        number("rope.dimension_count", o.embedding / o.heads);
        real("rope.freq_base", o.rope_base);
    }
    real("attention.layer_norm_rms_epsilon", 1e-6F);
    if (o.sliding_window > 0) {
        number("attention.sliding_window", o.sliding_window);
        number("attention.sliding_window_pattern", 2);  // every other layer sees everything
    }
    if (is_recurrent(o, 0)) {
        const StateSpaceShape shape = state_space_shape(o);
        number("ssm.conv_kernel", shape.kernel);
        number("ssm.inner_size", shape.inner);
        number("ssm.state_size", shape.state);
        number("ssm.time_step_rank", shape.time_step_rank);
    }
}

/// Makes one tensor's rows a block at a time.
class TensorWriter {
  public:
    TensorWriter(const SynthOptions& options, const std::vector<Speech>& speech, std::ofstream& file)
        : seed_(options.seed), embeddings_(options.seed, "token_embd.weight"), speech_(speech), file_(file) {}

    void write(const TensorPlan& plan) {
        const RandomRows random(seed_, plan.name);
        const std::int64_t block = std::clamp<std::int64_t>((1 << 18) / plan.columns, 1, plan.rows);
        numbers_.resize(static_cast<std::size_t>(block * plan.columns));
        bytes_.resize(static_cast<std::size_t>(block) * ggml_row_size(plan.type, plan.columns));
        for (std::int64_t first = 0; first < plan.rows; first += block) {
            const std::int64_t rows = std::min(block, plan.rows - first);
            for (std::int64_t i = 0; i < rows; ++i) {
                const auto columns = static_cast<std::size_t>(plan.columns);
                fill(plan, random, first + i,
                     std::span(numbers_).subspan(static_cast<std::size_t>(i) * columns, columns));
            }
            const std::size_t size =
                ggml_quantize_chunk(plan.type, numbers_.data(), bytes_.data(), 0, rows, plan.columns, nullptr);
            file_.write(bytes_.data(), static_cast<std::streamsize>(size));
        }
        pad();
    }

  private:
    void fill(const TensorPlan& plan, const RandomRows& random, std::int64_t row, std::span<float> out) const {
        if (plan.fill == Fill::kConstant) {
            std::ranges::fill(out, plan.value);
            return;
        }
        const auto token = static_cast<std::size_t>(row);
        const bool spoken = plan.fill == Fill::kOutput && token < speech_.size();
        if (spoken && speech_[token].kind == Speech::Kind::kSilent) {
            std::ranges::fill(out, 0.0F);
        } else if (spoken && speech_[token].kind == Speech::Kind::kAfter) {
            // In line with the embedding of the token before, which is still a good part of the last layer's result.
            embeddings_.fill(static_cast<std::uint64_t>(speech_[token].previous), kAfterLogit / plan.columns, out);
        } else {
            random.fill(static_cast<std::uint64_t>(row), plan.value, out);
        }
    }

    void pad() {
        const auto over = static_cast<std::size_t>(file_.tellp()) % GGUF_DEFAULT_ALIGNMENT;
        constexpr char kZeros[GGUF_DEFAULT_ALIGNMENT] = {};
        if (over != 0) file_.write(kZeros, static_cast<std::streamsize>(GGUF_DEFAULT_ALIGNMENT - over));
    }

    std::uint64_t seed_;
    RandomRows embeddings_;
    const std::vector<Speech>& speech_;
    std::ofstream& file_;
    std::vector<float> numbers_;
    std::vector<char> bytes_;
};

void write_tensor_list(const std::vector<TensorPlan>& plans, gguf_context* file) {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> descriptors(
        ggml_init({.mem_size = plans.size() * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}),
        ggml_free);
    for (const auto& plan : plans) {
        ggml_tensor* tensor = plan.rows == 1
                                  ? ggml_new_tensor_1d(descriptors.get(), plan.type, plan.columns)
                                  : ggml_new_tensor_2d(descriptors.get(), plan.type, plan.columns, plan.rows);
        ggml_set_name(tensor, plan.name.c_str());
        gguf_add_tensor(file, tensor);
    }
}

}  // namespace

const std::vector<std::string_view>& synth_presets() {
    static const std::vector<std::string_view> names = {"toy",       "toy-coder",    "toy-qwen2",
                                                        "toy-bert",  "toy-reranker", "toy-mamba",
                                                        "toy-jamba", "toy-gemma3",   "qwen2.5-0.5b"};
    return names;
}

const std::vector<std::string_view>& synth_architectures() {
    static const std::vector<std::string_view> names = {"llama", "qwen2", "bert", "mamba", "jamba", "gemma3"};
    return names;
}

const std::vector<std::string_view>& synth_quantisations() {
    static const std::vector<std::string_view> names = [] {
        std::vector<std::string_view> all;
        for (const auto& quantisation : quantisations()) all.push_back(quantisation.name);
        return all;
    }();
    return names;
}

Result<SynthOptions> synth_preset(std::string_view name) {
    SynthOptions options;
    options.name = fmt::format("synthetic-{}", name);
    if (name == "toy") return options;
    if (name == "toy-qwen2" || name == "toy-coder") {
        options.architecture = "qwen2";
        options.vocabulary = name == "toy-coder" ? "starcoder" : "qwen2";
        options.tied_embeddings = true;
        // Half as wide, because with so many tokens the output layer would cost more than the server does.
        options.embedding = 64;
        options.heads = 2;
        options.kv_heads = 1;
        options.feed_forward = 192;
        return options;
    }
    if (name == "toy-bert" || name == "toy-reranker") {
        options.architecture = "bert";
        options.vocabulary = "bert-bge";
        options.embedding = 64;
        options.heads = options.kv_heads = 2;
        options.feed_forward = 192;
        options.context_length = 512;
        options.pooling = name == "toy-bert" ? 1 : kRankPooling;
        return options;
    }
    if (name == "toy-mamba" || name == "toy-jamba") {
        options.architecture = name.substr(4);
        if (name == "toy-jamba") options.layers = 4;
        return options;
    }
    if (name == "toy-gemma3") {
        options.architecture = "gemma3";
        options.layers = 4;
        options.sliding_window = 64;
        return options;
    }
    if (name == "qwen2.5-0.5b") {
        options.architecture = "qwen2";
        options.layers = 24;
        options.embedding = 896;
        options.heads = 14;
        options.kv_heads = 2;
        options.feed_forward = 4864;
        options.context_length = 32768;
        options.rope_base = 1'000'000.0F;
        options.tied_embeddings = true;
        options.quantisation = "q4_0";
        options.vocabulary = "qwen2";
        return options;
    }
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("There is no preset '{}'; there are {}", name, fmt::join(synth_presets(), ", ")), "preset");
}

Result<void> synthesize(const SynthOptions& options, const SynthProgress& progress) {
    if (auto valid = check(options); !valid) return valid;
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> metadata(gguf_init_empty(), gguf_free);
    const auto vocabulary = write_vocabulary(options.vocabulary, metadata.get());
    if (!vocabulary) return std::unexpected(vocabulary.error());
    write_shape(options, vocabulary->size, metadata.get());
    const auto plans = plan_tensors(options, vocabulary->size);
    write_tensor_list(plans, metadata.get());

    return write_gguf(options.output, metadata.get(), [&](std::ofstream& file) {
        TensorWriter writer(options, vocabulary->speech, file);
        for (std::size_t i = 0; i < plans.size() && file; ++i) {
            writer.write(plans[i]);
            if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(plans.size()));
        }
    });
}

}  // namespace sutazai::synth
