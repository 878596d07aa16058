#include "catalog/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/model_parts.h"
#include "gguf/byte_reader.h"
#include "gguf/outline.h"
#include "gguf/translate.h"

namespace sutazai::catalog {
namespace {

std::unexpected<Error> refuse(std::string message) {
    return fail(ErrorCode::kLoadFailed, std::move(message));
}

/// Of all layers, where they differ: the numbers of some models are lists.
struct Layers {
    std::uint64_t sum = 0;
    std::uint64_t most = 0;
};
std::optional<Layers> layers_of(const gguf::Outline& outline, const std::string& key) {
    const gguf::Value* value = outline.find(key);
    if (value == nullptr || value->type != gguf::kArray) return std::nullopt;
    Layers out;
    for (const std::uint64_t number : outline.numbers(key)) {
        out.sum += number;
        out.most = std::max(out.most, number);
    }
    return out;
}

void take_shape(const gguf::Outline& outline, GgufSummary& summary) {
    const std::string prefix = summary.architecture + ".";
    const auto number = [&](const char* key) { return outline.number(prefix + key).value_or(0); };
    summary.context_length = number("context_length");
    summary.block_count = number("block_count");
    summary.embedding_length = number("embedding_length");
    summary.head_count = number("attention.head_count");
    summary.head_count_kv = number("attention.head_count_kv");
    const std::uint64_t head = summary.head_count == 0 ? 0 : summary.embedding_length / summary.head_count;
    summary.key_length = number("attention.key_length");
    if (summary.key_length == 0) summary.key_length = head;
    summary.value_length = number("attention.value_length");
    if (summary.value_length == 0) summary.value_length = head;
    const auto widths = layers_of(outline, prefix + "feed_forward_length");
    summary.feed_forward_length = widths ? widths->most : number("feed_forward_length");
    if (const auto kv_heads = layers_of(outline, prefix + "attention.head_count_kv")) {
        summary.kv_heads_in_all = kv_heads->sum;
        return;
    }
    // Without grouped queries each head has its own key and value.
    const std::uint64_t each = summary.head_count_kv > 0 ? summary.head_count_kv : summary.head_count;
    if (__builtin_mul_overflow(each, summary.block_count, &summary.kv_heads_in_all)) summary.kv_heads_in_all = 0;
}

Result<void> take_tensors(const gguf::Outline& outline, GgufSummary& summary) {
    summary.tensors = outline.tensors.size();
    for (const gguf::Tensor& tensor : outline.tensors) {
        if (tensor.type == gguf::kTensorEarlyMxfp4) {
            return refuse(fmt::format("tensor \"{}\" has a type that was given up", gguf::printable(tensor.name)));
        }
        if (tensor.name == "token_embd.weight") summary.tied_bytes = tensor.bytes;
        if (tensor.name == "output.weight") summary.has_output_layer = true;
        if (__builtin_add_overflow(summary.parameters, tensor.elements, &summary.parameters)) {
            return refuse(
                fmt::format("the file is damaged: tensor \"{}\" is larger than can be", gguf::printable(tensor.name)));
        }
    }
    if (summary.has_output_layer) summary.tied_bytes = 0;
    return {};
}

Result<GgufSummary> summary_of(const gguf::Outline& outline) {
    GgufSummary summary;
    summary.version = outline.version;
    summary.architecture = outline.architecture();
    summary.name = outline.text("general.name");
    summary.split_count = outline.number("split.count").value_or(0);
    summary.split_number = outline.number("split.no").value_or(0);
    summary.split_tensors = outline.number("split.tensors.count").value_or(0);
    if (outline.tensors.empty() && summary.split_count < 2) {
        return refuse("the file has no tensors: it is a vocabulary, not a model");
    }
    take_shape(outline, summary);
    const gguf::Value* tokens = outline.find("tokenizer.ggml.tokens");
    if (tokens != nullptr && tokens->type == gguf::kArray) summary.vocabulary = tokens->count;
    summary.has_chat_template = outline.has("tokenizer.chat_template");
    summary.has_pooling_type = outline.has(summary.architecture + ".pooling_type");
    summary.fills_gaps =
        outline.has("tokenizer.ggml.fim_pre_token_id") || outline.has("tokenizer.ggml.prefix_token_id");
    if (const auto type = outline.number("general.file_type")) {
        summary.file_type = static_cast<std::uint32_t>(*type);
    }
    summary.data_offset = outline.data_offset;
    summary.tensor_bytes = outline.tensor_bytes;
    if (auto step = take_tensors(outline, summary); !step) return std::unexpected(step.error());
    return summary;
}

Result<GgufSummary> read_file(const std::string& path) {
    auto file = gguf::open_model_file(path);
    if (!file) return std::unexpected(std::move(file.error()));
    return read_gguf_summary(file->in, file->size);
}

/// Takes what `part` has beside the parts before it into the numbers of all. False when a sum does not fit.
bool add_part(GgufSummary& all, const GgufSummary& part) {
    all.has_output_layer = all.has_output_layer || part.has_output_layer;
    all.tied_bytes = all.has_output_layer ? 0 : std::max(all.tied_bytes, part.tied_bytes);
    return !__builtin_add_overflow(all.parameters, part.parameters, &all.parameters) &&
           !__builtin_add_overflow(all.tensors, part.tensors, &all.tensors) &&
           !__builtin_add_overflow(all.tensor_bytes, part.tensor_bytes, &all.tensor_bytes);
}

Result<GgufSummary> read_parts(const std::vector<std::string>& paths) {
    std::optional<GgufSummary> all;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const std::string name = std::filesystem::path(paths[i]).filename().string();
        const auto refuse = [&](const std::string& why) {
            return fail(ErrorCode::kLoadFailed, fmt::format("part {} of {}, {}: {}", i + 1, paths.size(), name, why));
        };
        std::error_code error;
        if (!std::filesystem::exists(paths[i], error)) return refuse("the file is missing");
        const auto part = read_file(paths[i]);
        if (!part) return refuse(part.error().message);
        if (part->split_count != paths.size() || part->split_number != i) {
            return refuse(part->split_count < 2 ? "the file is a whole model by itself; give it another name"
                                                : fmt::format("the file says that it is part {} of {}",
                                                              part->split_number + 1, part->split_count));
        }
        if (!all) {
            all = *part;
        } else if (!add_part(*all, *part)) {
            return refuse("the parts together are larger than can be");
        }
    }
    if (all->split_tensors != 0 && all->tensors != all->split_tensors) {
        return fail(ErrorCode::kLoadFailed, fmt::format("the parts have {} tensors together and should have {}: they "
                                                        "are not of one model",
                                                        all->tensors, all->split_tensors));
    }
    return std::move(*all);
}

}  // namespace

Result<GgufSummary> read_gguf_summary(std::istream& in, std::uint64_t size) {
    auto outline = gguf::read_outline(in, size);
    if (!outline) return std::unexpected(std::move(outline.error()));
    const auto translation = gguf::translate(*outline, in);
    if (!translation) return std::unexpected(translation.error());
    return summary_of(*outline);
}

Result<GgufSummary> read_gguf_summary(const std::string& path) {
    const std::vector<std::string> paths = model_parts(path);
    if (paths.size() > 1) return read_parts(paths);
    auto summary = read_file(path);
    if (summary && summary->split_count > 1) {
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("the file is part {} of {} of a model, and its name does not say where the others are: "
                                "name the first part, and call the parts <model>-00001-of-{:05}.gguf and so on",
                                summary->split_number + 1, summary->split_count, summary->split_count));
    }
    return summary;
}

const char* file_type_name(std::uint32_t file_type) {
    // llama_ftype of llama.cpp; the gaps are types that were given up.
    static constexpr std::array<const char*, 42> kNames{
        "F32",    "F16",     "Q4_0",   "Q4_1",   "",       "",       "",       "Q8_0",  "Q5_0",    "Q5_1",   "Q2_K",
        "Q3_K_S", "Q3_K_M",  "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K",  "IQ2_XXS", "IQ2_XS", "Q2_K_S",
        "IQ3_XS", "IQ3_XXS", "IQ1_S",  "IQ4_NL", "IQ3_S",  "IQ3_M",  "IQ2_S",  "IQ2_M", "IQ4_XS",  "IQ1_M",  "BF16",
        "",       "",        "",       "TQ1_0",  "TQ2_0",  "MXFP4",  "NVFP4",  "Q1_0",  "Q2_0"};
    return file_type < kNames.size() ? kNames.at(file_type) : "";
}

}  // namespace sutazai::catalog
