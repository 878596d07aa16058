#include "catalog/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "base/model_parts.h"
#include "catalog/byte_reader.h"

namespace sutazai::catalog {
namespace {

constexpr std::uint64_t kMaxStringBytes = 64ULL << 20;  // of all strings of the file
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxTensorNameBytes = 63;
constexpr std::uint64_t kMaxPairs = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 20;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kDefaultAlignment = 32;

enum ValueType : std::uint32_t {
    kUint8,
    kInt8,
    kUint16,
    kInt16,
    kUint32,
    kInt32,
    kFloat32,
    kBool,
    kString,
    kArray,
    kUint64,
    kInt64,
    kFloat64
};
constexpr std::array<std::uint8_t, 13> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/// How ggml lays out a row of a tensor type: `bytes` for each `elements`. 0 elements: no such type (any more).
struct BlockLayout {
    std::uint16_t elements = 0;
    std::uint16_t bytes = 0;
};
constexpr std::array<BlockLayout, 43> kBlockLayouts{{
    {1, 4},    {1, 2},    {32, 18},   {32, 20},   {},         {},         {32, 22},   {32, 24},  {32, 34},
    {32, 36},  {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}, {256, 292}, {256, 66}, {256, 74},
    {256, 98}, {256, 50}, {32, 18},   {256, 110}, {256, 82},  {256, 136}, {1, 1},     {1, 2},    {1, 4},
    {1, 8},    {1, 8},    {256, 56},  {1, 2},     {},         {},         {},         {256, 54}, {256, 66},
    {},        {},        {},         {32, 17},   {64, 36},   {128, 18},  {64, 18},
}};

using Step = Result<void>;

/// `text` for a message: a hostile file decides on its bytes and length.
std::string printable(std::string_view text) {
    std::string out(text.substr(0, 64));
    std::ranges::replace_if(
        out, [](char c) { return c < ' ' || c > '~'; }, '?');
    return out;
}

class SummaryReader {
  public:
    SummaryReader(std::istream& in, std::uint64_t size) : reader_(in, size), size_(size) {}

    Result<GgufSummary> read() {
        if (auto step = read_head(); !step) return std::unexpected(step.error());
        for (std::uint64_t i = 0; i < pairs_; ++i) {
            if (auto step = read_pair(); !step) return std::unexpected(step.error());
        }
        if (auto step = interpret_pairs(); !step) return std::unexpected(step.error());
        for (std::uint64_t i = 0; i < summary_.tensors; ++i) {
            if (auto step = read_tensor(); !step) return std::unexpected(step.error());
        }
        if (auto step = check_data(); !step) return std::unexpected(step.error());
        summary_.has_output_layer = tensor_names_.contains("output.weight");
        if (summary_.has_output_layer) summary_.tied_bytes = 0;
        return std::move(summary_);
    }

  private:
    static std::unexpected<Error> refuse(std::string message) {
        return fail(ErrorCode::kLoadFailed, std::move(message));
    }

    /// For when the reader has failed: the file ended where more must follow.
    [[nodiscard]] std::unexpected<Error> ended() const {
        return refuse(
            fmt::format("the file is truncated or damaged: it ends after {} bytes, within its metadata", size_));
    }

    std::string read_string(std::uint64_t most) {
        const auto length = reader_.read<std::uint64_t>();
        if (length > most || length > kMaxStringBytes - string_bytes_) {
            too_long_ = true;
            return {};
        }
        string_bytes_ += length;
        return reader_.read_text(length);
    }

    void skip_string() {
        const auto length = reader_.read<std::uint64_t>();
        if (length > kMaxStringBytes - string_bytes_) {
            too_long_ = true;
            return;
        }
        string_bytes_ += length;
        reader_.skip(length);
    }

    /// Whether all that was read so far is there and within the limits.
    [[nodiscard]] Step check() const {
        if (too_long_) return refuse("the file is damaged: a text in its metadata is longer than any model's");
        if (!reader_.ok()) return ended();
        return {};
    }

    Step read_head() {
        if (reader_.remaining() < 4 || reader_.read_text(4) != "GGUF") {
            return refuse("the file is no GGUF file: it does not begin with \"GGUF\"");
        }
        summary_.version = reader_.read<std::uint32_t>();
        summary_.tensors = reader_.read<std::uint64_t>();
        pairs_ = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();
        if ((summary_.version & 0xFFFFU) == 0) return refuse("the GGUF file is for big-endian machines, or damaged");
        if (summary_.version < 2 || summary_.version > 3) {
            return refuse(fmt::format("the file has GGUF version {}; versions 2 and 3 can be read", summary_.version));
        }
        if (summary_.tensors > kMaxTensors || pairs_ > kMaxPairs) {
            return refuse(fmt::format("the file is damaged: it claims {} tensors and {} metadata entries",
                                      summary_.tensors, pairs_));
        }
        return {};
    }

    Step read_pair() {
        std::string key = read_string(kMaxKeyBytes);
        const auto type = reader_.read<std::uint32_t>();
        if (auto step = check(); !step) return step;
        if (key.empty() || !keys_.insert(key).second) {
            return refuse(
                fmt::format("the file is damaged: metadata key \"{}\" is empty or there twice", printable(key)));
        }
        if (type == kArray) return skip_array(key);
        if (type == kString) {
            if (key == "general.architecture" || key == "general.name") {
                texts_[key] = read_string(kMaxStringBytes);
            } else {
                skip_string();
            }
            return check();
        }
        if (type >= kValueBytes.size()) return unknown_type(key, type);
        switch (type) {
            case kUint16: numbers_[key] = reader_.read<std::uint16_t>(); break;
            case kUint32: numbers_[key] = reader_.read<std::uint32_t>(); break;
            case kUint64: numbers_[key] = reader_.read<std::uint64_t>(); break;
            case kInt32: {
                const auto value = static_cast<std::int32_t>(reader_.read<std::uint32_t>());
                if (value >= 0) numbers_[key] = static_cast<std::uint64_t>(value);
                break;
            }
            default: reader_.skip(kValueBytes.at(type));
        }
        return check();
    }

    static std::unexpected<Error> unknown_type(std::string_view key, std::uint32_t type) {
        return refuse(
            fmt::format("the file is damaged: metadata key \"{}\" has the unknown type {}", printable(key), type));
    }

    Step skip_array(std::string_view key) {
        const auto type = reader_.read<std::uint32_t>();
        const auto count = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();
        if (type == kArray || type >= kValueBytes.size()) return unknown_type(key, type);
        // A string takes at least the eight bytes of its length.
        const std::uint64_t least_bytes = type == kString ? 8 : kValueBytes.at(type);
        if (count > reader_.remaining() / least_bytes) return ended();
        if (key == "tokenizer.ggml.tokens") summary_.vocabulary = count;
        if ((type == kUint32 || type == kInt32) && is_of_layers(key)) {
            read_layers(std::string(key), count);
        } else if (type != kString) {
            reader_.skip(count * least_bytes);
        } else {
            for (std::uint64_t i = 0; i < count && reader_.ok() && !too_long_; ++i) skip_string();
        }
        return check();
    }

    /// Numbers that some models have for each layer.
    static bool is_of_layers(std::string_view key) {
        return key.ends_with(".attention.head_count_kv") || key.ends_with(".feed_forward_length");
    }

    struct Layers {
        std::uint64_t sum = 0;
        std::uint64_t most = 0;
    };

    void read_layers(const std::string& key, std::uint64_t count) {
        Layers& layers = layers_[key];
        for (std::uint64_t i = 0; i < count && reader_.ok(); ++i) {
            const auto value = static_cast<std::int32_t>(reader_.read<std::uint32_t>());
            if (value < 0) continue;
            layers.sum += static_cast<std::uint64_t>(value);
            layers.most = std::max(layers.most, static_cast<std::uint64_t>(value));
        }
    }

    Step interpret_pairs() {
        summary_.architecture = texts_["general.architecture"];
        summary_.name = texts_["general.name"];
        const auto number = [&](const std::string& key) {
            const auto found = numbers_.find(key);
            return found == numbers_.end() ? 0 : found->second;
        };
        summary_.split_count = number("split.count");
        summary_.split_number = number("split.no");
        summary_.split_tensors = number("split.tensors.count");
        const bool is_part = summary_.split_count > 1;
        if (summary_.tensors == 0 && !is_part) {
            return refuse("the file has no tensors: it is a vocabulary, not a model");
        }
        // What follows the first part need not say again what model it is of.
        if (summary_.architecture.empty() && !(is_part && summary_.split_number > 0)) {
            return refuse("the file does not say its model's architecture");
        }
        const std::string prefix = summary_.architecture + ".";
        summary_.context_length = number(prefix + "context_length");
        summary_.block_count = number(prefix + "block_count");
        summary_.embedding_length = number(prefix + "embedding_length");
        summary_.head_count = number(prefix + "attention.head_count");
        summary_.head_count_kv = number(prefix + "attention.head_count_kv");
        interpret_shape(prefix);
        summary_.has_chat_template = keys_.contains("tokenizer.chat_template");
        summary_.has_pooling_type = keys_.contains(prefix + "pooling_type");
        if (numbers_.contains("general.file_type")) {
            summary_.file_type = static_cast<std::uint32_t>(number("general.file_type"));
        }
        if (keys_.contains("general.alignment")) {
            alignment_ = number("general.alignment");
            if (alignment_ == 0 || (alignment_ & (alignment_ - 1)) != 0 || alignment_ > 1U << 30U) {
                return refuse(fmt::format("the file is damaged: it claims an alignment of {} bytes", alignment_));
            }
        }
        return {};
    }

    void interpret_shape(const std::string& prefix) {
        const auto number = [&](const std::string& key) {
            const auto found = numbers_.find(prefix + key);
            return found == numbers_.end() ? 0 : found->second;
        };
        const std::uint64_t head = summary_.head_count == 0 ? 0 : summary_.embedding_length / summary_.head_count;
        summary_.key_length = number("attention.key_length");
        if (summary_.key_length == 0) summary_.key_length = head;
        summary_.value_length = number("attention.value_length");
        if (summary_.value_length == 0) summary_.value_length = head;
        summary_.feed_forward_length =
            std::max(number("feed_forward_length"), layers_[prefix + "feed_forward_length"].most);
        const auto kv_heads = layers_.find(prefix + "attention.head_count_kv");
        if (kv_heads != layers_.end()) {
            summary_.kv_heads_in_all = kv_heads->second.sum;
        } else {
            // Without grouped queries each head has its own key and value.
            const std::uint64_t each = summary_.head_count_kv > 0 ? summary_.head_count_kv : summary_.head_count;
            if (__builtin_mul_overflow(each, summary_.block_count, &summary_.kv_heads_in_all)) {
                summary_.kv_heads_in_all = 0;
            }
        }
    }

    Step read_tensor() {
        const std::string name = read_string(kMaxTensorNameBytes);
        const auto n_dimensions = reader_.read<std::uint32_t>();
        if (auto step = check(); !step) return step;
        const auto damaged = [&](std::string_view what) {
            return refuse(fmt::format("the file is damaged: tensor \"{}\" {}", printable(name), what));
        };
        if (!tensor_names_.insert(name).second) return damaged("is there twice");
        if (n_dimensions > kMaxDimensions) return damaged(fmt::format("claims {} dimensions", n_dimensions));

        std::uint64_t elements = 1;
        std::uint64_t row = 1;
        for (std::uint32_t i = 0; i < n_dimensions; ++i) {
            const auto extent = reader_.read<std::uint64_t>();
            if (i == 0) row = extent;
            if (__builtin_mul_overflow(elements, extent, &elements)) return damaged("is larger than can be");
        }
        const auto type = reader_.read<std::uint32_t>();
        const auto offset = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();

        const BlockLayout layout = type < kBlockLayouts.size() ? kBlockLayouts.at(type) : BlockLayout{};
        if (layout.elements == 0) return damaged(fmt::format("has the type {}, which cannot be read", type));
        if (row % layout.elements != 0) return damaged("has rows that are no whole number of blocks");
        std::uint64_t bytes = 0;
        if (__builtin_mul_overflow(elements / layout.elements, layout.bytes, &bytes) || !advance_data(offset, bytes)) {
            return damaged("is larger than can be, or not where it should be");
        }
        if (name == "token_embd.weight") summary_.tied_bytes = bytes;
        if (__builtin_add_overflow(summary_.parameters, elements, &summary_.parameters)) {
            return damaged("is larger than can be");
        }
        return {};
    }

    /// Tensors follow one another, each aligned. False when this one does not, or when a sum does not fit.
    bool advance_data(std::uint64_t offset, std::uint64_t bytes) {
        if (offset != next_offset_) return false;
        if (__builtin_add_overflow(offset, bytes, &summary_.tensor_bytes)) return false;
        if (__builtin_add_overflow(summary_.tensor_bytes, alignment_ - 1, &next_offset_)) return false;
        next_offset_ &= ~(alignment_ - 1);
        return true;
    }

    Step check_data() {
        // The position is at most the file's size and the alignment at most 1 GiB: this sum fits.
        summary_.data_offset = (reader_.position() + alignment_ - 1) & ~(alignment_ - 1);
        std::uint64_t needed = 0;
        if (__builtin_add_overflow(summary_.data_offset, summary_.tensor_bytes, &needed)) {
            return refuse("the file is damaged: its tensors are larger than can be");
        }
        if (needed > size_) {
            return refuse(fmt::format("the file is truncated: it has {} bytes and its tensors need {}", size_, needed));
        }
        return {};
    }

    ByteReader reader_;
    std::uint64_t size_;
    GgufSummary summary_;
    std::uint64_t pairs_ = 0;
    std::uint64_t string_bytes_ = 0;
    bool too_long_ = false;
    std::unordered_set<std::string> keys_;
    std::map<std::string, std::string> texts_;
    std::map<std::string, std::uint64_t> numbers_;
    std::map<std::string, Layers> layers_;
    std::unordered_set<std::string> tensor_names_;
    std::uint64_t alignment_ = kDefaultAlignment;
    std::uint64_t next_offset_ = 0;
};

Result<GgufSummary> read_file(const std::string& path) {
    auto file = open_model_file(path);
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
    return SummaryReader(in, size).read();
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
