#include "cli/synth_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/small_file.h"
#include "cli/terminal.h"
#include "synth/projector.h"
#include "synth/scripted.h"
#include "synth/synth.h"

namespace sutazai::cli {
namespace {

/// What was given; the preset fills the rest.
struct SynthFlags {
    std::string preset = "toy";
    std::optional<std::string> architecture, name, quantisation, vocabulary;
    std::optional<std::uint32_t> layers, embedding, heads, kv_heads, feed_forward, context_length;
    std::optional<std::uint64_t> seed;
    bool tied_embeddings = false;
    std::string dialect = "chatml", scripts;
    std::string output;
};

constexpr const char* kScripted = "scripted";
constexpr const char* kProjector = "projector";

int write_scripted(const SynthFlags& flags) {
    constexpr std::size_t kMostBytes = 4 << 20;
    auto text = read_small_file(flags.scripts, kMostBytes);
    if (!text) {
        fmt::print(stderr, "sutazai: --scripts: {}\n", text.error().message);
        return 1;
    }
    const auto done =
        synth::write_scripted({.dialect = flags.dialect, .scripts = std::move(*text), .output = flags.output});
    if (!done) fmt::print(stderr, "sutazai: {}\n", done.error().message);
    return done ? 0 : 1;
}

int write_projector(const SynthFlags& flags) {
    synth::ProjectorOptions options{.output = flags.output};
    if (flags.embedding) options.embedding = *flags.embedding;
    if (flags.seed) options.seed = *flags.seed;
    const auto done = synth::write_projector(options);
    if (!done) fmt::print(stderr, "sutazai: {}\n", done.error().message);
    return done ? 0 : 1;
}

int synthesize(const SynthFlags& flags) {
    if (flags.preset == kProjector) return write_projector(flags);
    if (flags.preset == kScripted) return write_scripted(flags);
    auto options = synth::synth_preset(flags.preset);
    if (!options) {
        fmt::print(stderr, "sutazai: {}\n", options.error().message);
        return 1;
    }
    const auto set = [](auto& member, const auto& given) {
        if (given) member = *given;
    };
    set(options->architecture, flags.architecture);
    set(options->name, flags.name);
    set(options->quantisation, flags.quantisation);
    set(options->vocabulary, flags.vocabulary);
    set(options->layers, flags.layers);
    set(options->embedding, flags.embedding);
    set(options->heads, flags.heads);
    set(options->kv_heads, flags.kv_heads);
    set(options->feed_forward, flags.feed_forward);
    set(options->context_length, flags.context_length);
    set(options->seed, flags.seed);
    if (flags.tied_embeddings) options->tied_embeddings = true;
    options->output = flags.output;

    ProgressLine progress(stderr);
    const auto done = synth::synthesize(*options, [&](double share) { progress.show("writing", share); });
    progress.clear();
    if (!done) {
        fmt::print(stderr, "sutazai: {}\n", done.error().message);
        return 1;
    }
    return 0;
}

}  // namespace

void add_synth_command(CLI::App& parent, std::function<int()>& action) {
    CLI::App* app = parent.add_subcommand("synth", "Write a GGUF model of random weights, for tests and benchmarks");
    const auto flags = std::make_shared<SynthFlags>();
    const auto one_of = [](const auto& names) { return fmt::format("{}", fmt::join(names, ", ")); };
    app->add_option("--preset", flags->preset,
                    fmt::format("Shape to start from: {}; or {}, or {} (lets a model take images)",
                                one_of(synth::synth_presets()), kScripted, kProjector))
        ->type_name("NAME")
        ->capture_default_str();
    app->add_option("--arch", flags->architecture, one_of(synth::synth_architectures()))->type_name("NAME");
    app->add_option("--quant", flags->quantisation, one_of(synth::synth_quantisations()))->type_name("NAME");
    app->add_option("--vocabulary", flags->vocabulary, "builtin, a vocabulary of llama.cpp (qwen2), or a GGUF file")
        ->type_name("NAME");
    app->add_option("--name", flags->name, "Name of the model inside the file")->type_name("NAME");
    app->add_option("--layers", flags->layers, "Layers");
    app->add_option("--embedding", flags->embedding, "Width");
    app->add_option("--heads", flags->heads, "Attention heads");
    app->add_option("--kv-heads", flags->kv_heads, "Key and value heads");
    app->add_option("--feed-forward", flags->feed_forward, "Width of the feed-forward layers");
    app->add_option("--context", flags->context_length, "Training context in tokens");
    app->add_flag("--tied-embeddings", flags->tied_embeddings, "Use the embedding table as output layer");
    app->add_option("--seed", flags->seed, "The same seed and shape give the same bytes");
    app->add_option("--dialect", flags->dialect,
                    "Of a scripted model's template: " + one_of(synth::scripted_dialects()))
        ->type_name("NAME");
    app->add_option("--scripts", flags->scripts, "A scripted model's answers: JSON, {\"key\": [\"piece\", ...]}")
        ->type_name("FILE");
    app->add_option("--output,-o", flags->output, "The file to write")->required()->type_name("FILE");
    app->callback([&action, flags] { action = [flags] { return synthesize(*flags); }; });
}

}  // namespace sutazai::cli
