#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Models of random weights, in the shape of real ones, for tests and benchmarks. The text they write means nothing; it
/// is varied, and costs what a real model of that shape costs.
namespace sutazai::synth {

inline constexpr std::uint32_t kRankPooling = 4;

struct SynthOptions {
    std::string architecture = "llama";  ///< one of synth_architectures()
    std::string name = "synthetic";      ///< general.name in the file
    std::uint32_t layers = 2;            ///< 1 to 512
    std::uint32_t embedding = 128;       ///< width; a multiple of 32 and of `heads`
    std::uint32_t heads = 4;             ///< a multiple of `kv_heads`; embedding / heads is even
    std::uint32_t kv_heads = 2;
    std::uint32_t feed_forward = 384;  ///< a multiple of 32
    std::uint32_t context_length = 8192;
    float rope_base = 10000.0F;
    std::uint32_t sliding_window = 0;   ///< of every other layer of a gemma3, in tokens; 0: all see everything
    bool tied_embeddings = false;       ///< the output layer is the embedding table
    std::uint32_t pooling = 0;          ///< 0: not said; else llama.cpp's number: 1 mean, 2 cls, 3 last, 4 rank
    std::string quantisation = "q8_0";  ///< one of synth_quantisations()
    /// "builtin": about 800 tokens (every byte, English words, ChatML marks), needs no file. "qwen2", "llama-spm" and
    /// so on: that vocabulary of the llama.cpp source tree which this binary was built from. Else the path of a GGUF
    /// file whose vocabulary is copied.
    std::string vocabulary = "builtin";
    std::uint64_t seed = 1;
    std::filesystem::path output;  ///< replaced when complete, never left half written
};

/// Shapes by name: "toy" (2 layers, 128 wide, built-in vocabulary, under 1 MB) for tests; "toy-qwen2" (2 layers, 64
/// wide, Qwen2's 151,936 tokens) where a model costs next to nothing but sampling costs what it costs in a real one;
/// "toy-coder", the same with StarCoder's, which has tokens for gaps and files; "toy-bert" (2 layers, 64 wide, BERT's
/// tokenizer), an encoder that makes embeddings only; "toy-reranker", the same with a head that says how well a text
/// answers a question; "toy-mamba", which is recurrent, "toy-jamba", every other layer of which is, and "toy-gemma3",
/// every other layer of which looks back 64 tokens only: those whose memory cannot be cut anywhere; and "qwen2.5-0.5b".
/// `output` stays empty. An unknown name is an error that lists the known ones.
[[nodiscard]] Result<SynthOptions> synth_preset(std::string_view name);

[[nodiscard]] const std::vector<std::string_view>& synth_presets();
[[nodiscard]] const std::vector<std::string_view>& synth_architectures();
[[nodiscard]] const std::vector<std::string_view>& synth_quantisations();

/// Called with the share that is written, (0, 1], on the calling thread.
using SynthProgress = std::function<void(double)>;

/// Writes a GGUF file with a tokenizer and a ChatML template. The same options and seed give the same bytes on the same
/// build. Takes one core (about 5 s for qwen2.5-0.5b) and the memory of the largest tensor. Errors name the option at
/// fault.
[[nodiscard]] Result<void> synthesize(const SynthOptions& options, const SynthProgress& progress = {});

}  // namespace sutazai::synth
