#include "gguf/translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include "gguf/draft.h"
#include "gguf/families/families.h"

namespace sutazai::gguf {
namespace {

struct Family {
    std::string_view architecture;  ///< as general.architecture has it
    std::string_view name;
    unsigned version;  ///< a higher one for each change of what is done: states in artifacts depend on it
    Changed (*translate)(Draft&);
};
constexpr auto kFamilies = std::to_array<Family>({
    {"bert", "snowflake-arctic-embed2", 1, translate_arctic_embed2},
    {"deepseekocr", "deepseek-ocr", 1, translate_deepseek_ocr},
    {"gemma3", "gemma3", 1, translate_gemma3},
    {"gemma3n", "gemma3n", 1, translate_gemma3n},
    {"gemma4", "gemma4", 1, translate_gemma4},
    {"glm4moelite", "glm-4-flash", 1, translate_glm4_moe_lite},
    {"glmocr", "glm-ocr", 1, translate_glm_ocr},
    {"gptoss", "gpt-oss", 1, translate_gpt_oss},
    {"laguna", "laguna", 1, translate_laguna},
    {"lfm2", "lfm2", 1, translate_lfm2},
    {"llama", "llama3", 1, translate_llama3},
    {"llama4", "llama4", 1, translate_llama4},
    {"mistral3", "mistral3", 1, translate_mistral3},
    {"nemotron_h_moe", "nemotron-h", 1, translate_nemotron_h_moe},
    {"nemotron_h_omni", "nemotron-h", 1, translate_nemotron_h_omni},
    {"olmo3", "olmo3", 1, translate_olmo3},
    {"qwen25vl", "qwen2.5vl", 1, translate_qwen25vl},
    {"qwen35", "qwen3.5", 1, translate_qwen35},
    {"qwen35moe", "qwen3.5", 1, translate_qwen35},
    {"qwen3next", "qwen3-next", 1, translate_qwen3next},
    {"qwen3vl", "qwen3vl", 1, translate_qwen3vl},
    {"qwen3vlmoe", "qwen3vl", 1, translate_qwen3vl},
});

/// What Ollama can read and llama.cpp v0.5.0 has no like of.
constexpr std::array<std::string_view, 1> kUnknown{"mllama"};

std::unexpected<Error> refuse(const Family& family, std::string_view why) {
    return fail(ErrorCode::kLoadFailed,
                fmt::format("the file is a {} of Ollama's own making and cannot be translated: {}. A GGUF file of this "
                            "model from hf.co loads",
                            family.name, why));
}

/// A handler may have been led to nonsense by a file that is nonsense; llama.cpp is to get what read_outline() accepts.
/// Empty when all is well.
std::string fault_of(Outline& outline) {
    outline.tensor_bytes = 0;
    std::unordered_set<std::string_view> names;
    for (const Pair& pair : outline.pairs) {
        if (!names.insert(pair.key).second) return fmt::format("two entries would be \"{}\"", printable(pair.key));
    }
    names.clear();
    std::uint64_t next = 0;
    for (Tensor& tensor : outline.tensors) {
        const auto faulty = [&](std::string_view what) {
            return fmt::format("tensor \"{}\" {}", printable(tensor.name), what);
        };
        if (!names.insert(tensor.name).second) return faulty("would be there twice");
        if (tensor.name.size() > kMaxTensorNameBytes) return faulty("would have too long a name");
        const TensorSize size = size_of_tensor(tensor.type, tensor.shape);
        if (size.fault != TensorSize::Fault::kNone) return faulty("has a shape that cannot be");
        tensor.elements = size.elements;
        tensor.bytes = size.bytes;
        std::uint64_t joined = 0;
        const RecodingUnit unit = unit_of(tensor.recoding);
        for (const Piece& piece : tensor.all_pieces()) {
            if (piece.bytes % unit.from != 0) return faulty("has no whole blocks");
            if (piece.row_bytes > 0 && piece.bytes % piece.row_bytes != 0) return faulty("has no whole rows");
            if (!piece.end() || __builtin_add_overflow(joined, piece.bytes, &joined)) return faulty("is too large");
        }
        if (joined / unit.from * unit.to != size.bytes) return faulty("has not the size that it should have");
        if (__builtin_add_overflow(next, tensor.bytes, &outline.tensor_bytes) ||
            __builtin_add_overflow(outline.tensor_bytes, outline.alignment - 1, &next)) {
            return faulty("is larger than can be");
        }
        next &= ~(outline.alignment - 1);
    }
    if (outline.tensors.empty()) return "it has no tensors for text";
    return {};
}

}  // namespace

bool needs_no_translation(const Outline& begun) {
    const std::string_view architecture = begun.architecture();
    if (architecture.empty() || std::ranges::find(kUnknown, architecture) != kUnknown.end()) return false;
    if (std::ranges::find(kFamilies, architecture, &Family::architecture) == kFamilies.end()) return true;
    return architecture == "llama" && !has_no_pre_tokenizer(begun);
}

Result<std::optional<Translation>> translate(Outline& outline, std::istream& in) {
    const std::string architecture(outline.architecture());
    if (std::ranges::find(kUnknown, architecture) != kUnknown.end()) {
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("llama.cpp v0.5.0 has no architecture like the file's, {}, and neither is there a GGUF "
                                "file of this model from elsewhere: take another model",
                                architecture));
    }
    const auto* family = std::ranges::find(kFamilies, architecture, &Family::architecture);
    // Parts of a split model are llama.cpp's own making.
    if (family == kFamilies.end() || outline.number("split.count").value_or(0) > 1) return std::nullopt;
    Draft draft(outline, in);
    const Changed changed = family->translate(draft);
    if (!changed) return refuse(*family, changed.error().message);
    if (!*changed) return std::nullopt;
    const std::string fault = fault_of(outline);
    if (!fault.empty()) return refuse(*family, fault);
    return Translation{std::string(family->name), family->version};
}

}  // namespace sutazai::gguf
