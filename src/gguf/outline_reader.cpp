#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "gguf/byte_reader.h"
#include "gguf/outline.h"

namespace sutazai::gguf {
namespace {

constexpr std::uint64_t kMaxStringBytes = 64ULL << 20;  // of all strings of the file, and of all that is kept
constexpr std::uint64_t kMaxPairs = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 20;
/// Longer arrays stay in the file.
constexpr std::uint64_t kKeptArrayBytes = 64 << 10;

using Step = Result<void>;

class OutlineReader {
  public:
    OutlineReader(std::istream& in, std::uint64_t size) : reader_(in, size), size_(size) {}

    Result<std::optional<Outline>> read(const std::function<bool(const Outline&)>& enough) {
        if (auto step = read_head(); !step) return std::unexpected(step.error());
        for (std::uint64_t i = 0; i < n_pairs_; ++i) {
            if (auto step = read_pair(); !step) return std::unexpected(step.error());
            if (enough && enough(outline_)) return std::nullopt;
        }
        if (auto step = check_pairs(); !step) return std::unexpected(step.error());
        for (std::uint64_t i = 0; i < n_tensors_; ++i) {
            if (auto step = read_tensor(); !step) return std::unexpected(step.error());
        }
        if (auto step = check_data(); !step) return std::unexpected(step.error());
        return std::move(outline_);
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
        outline_.version = reader_.read<std::uint32_t>();
        n_tensors_ = reader_.read<std::uint64_t>();
        n_pairs_ = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();
        if ((outline_.version & 0xFFFFU) == 0) return refuse("the GGUF file is for big-endian machines, or damaged");
        if (outline_.version < 2 || outline_.version > 3) {
            return refuse(fmt::format("the file has GGUF version {}; versions 2 and 3 can be read", outline_.version));
        }
        if (n_tensors_ > kMaxTensors || n_pairs_ > kMaxPairs) {
            return refuse(
                fmt::format("the file is damaged: it claims {} tensors and {} metadata entries", n_tensors_, n_pairs_));
        }
        return {};
    }

    Step read_pair() {
        Pair pair{read_string(kMaxKeyBytes), {.type = reader_.read<std::uint32_t>()}};
        if (auto step = check(); !step) return step;
        if (pair.key.empty() || !names_.insert(pair.key).second) {
            return refuse(
                fmt::format("the file is damaged: metadata key \"{}\" is empty or there twice", printable(pair.key)));
        }
        Value& value = pair.value;
        if (value.type == kArray) {
            if (auto step = read_array(pair); !step) return step;
        } else if (value.type == kString) {
            value.bytes = read_string(kMaxStringBytes);
        } else if (value.type < kValueBytes.size()) {
            value.bytes = reader_.read_text(kValueBytes.at(value.type));
        } else {
            return unknown_type(pair.key, value.type);
        }
        if (auto step = check(); !step) return step;
        outline_.pairs.push_back(std::move(pair));
        return {};
    }

    static std::unexpected<Error> unknown_type(std::string_view key, std::uint32_t type) {
        return refuse(
            fmt::format("the file is damaged: metadata key \"{}\" has the unknown type {}", printable(key), type));
    }

    Step read_array(Pair& pair) {
        Value& value = pair.value;
        value.element = reader_.read<std::uint32_t>();
        value.count = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();
        if (value.element == kArray || value.element >= kValueBytes.size())
            return unknown_type(pair.key, value.element);
        // A string takes at least the eight bytes of its length.
        const std::uint64_t least_bytes = value.element == kString ? 8 : kValueBytes.at(value.element);
        if (value.count > reader_.remaining() / least_bytes) return ended();
        const std::uint64_t begin = reader_.position();
        const std::uint64_t bytes = value.count * least_bytes;
        if (value.element == kString) {
            for (std::uint64_t i = 0; i < value.count && reader_.ok() && !too_long_; ++i) skip_string();
            value.place = Range{begin, reader_.position() - begin};
        } else if (bytes <= kKeptArrayBytes && bytes <= kMaxStringBytes - string_bytes_) {
            string_bytes_ += bytes;
            value.bytes = reader_.read_text(bytes);
        } else {
            reader_.skip(bytes);
            value.place = Range{begin, bytes};
        }
        return check();
    }

    Step check_pairs() {
        const auto part_count = outline_.number("split.count").value_or(0);
        const auto part = outline_.number("split.no").value_or(0);
        // What follows the first part need not say again what model it is of.
        if (n_tensors_ > 0 && outline_.architecture().empty() && !(part_count > 1 && part > 0)) {
            return refuse("the file does not say its model's architecture");
        }
        if (outline_.has("general.alignment")) {
            const auto alignment = outline_.number("general.alignment").value_or(0);
            if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > 1U << 30U) {
                return refuse(fmt::format("the file is damaged: it claims an alignment of {} bytes", alignment));
            }
            outline_.alignment = alignment;
        }
        early_mxfp4_ = outline_.architecture() == "gptoss";
        names_.clear();
        return {};
    }

    Step read_tensor() {
        Tensor tensor{.name = read_string(kMaxTensorNameBytes), .dimensions = reader_.read<std::uint32_t>()};
        if (auto step = check(); !step) return step;
        const auto damaged = [&](std::string_view what) {
            return refuse(fmt::format("the file is damaged: tensor \"{}\" {}", printable(tensor.name), what));
        };
        if (!names_.insert(tensor.name).second) return damaged("is there twice");
        if (tensor.dimensions > kMaxDimensions) return damaged(fmt::format("claims {} dimensions", tensor.dimensions));
        for (std::uint32_t i = 0; i < tensor.dimensions; ++i) tensor.shape.at(i) = reader_.read<std::uint64_t>();
        tensor.type = reader_.read<std::uint32_t>();
        const auto offset = reader_.read<std::uint64_t>();
        if (!reader_.ok()) return ended();
        TensorSize size = size_of_tensor(tensor.type, tensor.shape);
        using Fault = TensorSize::Fault;
        const bool no_such_type = tensor.type == kTensorEarlyMxfp4 && !early_mxfp4_ && size.fault != Fault::kSize;
        if (size.fault == Fault::kType || no_such_type) {
            return damaged(fmt::format("has the type {}, which cannot be read", tensor.type));
        }
        if (size.fault == Fault::kRow) return damaged("has rows that are no whole number of blocks");
        if (size.fault == Fault::kSize || !advance_data(offset, size.bytes)) {
            return damaged("is larger than can be, or not where it should be");
        }
        tensor.elements = size.elements;
        tensor.bytes = size.bytes;
        tensor.begin = offset;
        outline_.tensors.push_back(std::move(tensor));
        return {};
    }

    /// Tensors follow one another, each aligned. False when this one does not, or when a sum does not fit.
    bool advance_data(std::uint64_t offset, std::uint64_t bytes) {
        if (offset != next_offset_) return false;
        if (__builtin_add_overflow(offset, bytes, &outline_.tensor_bytes)) return false;
        if (__builtin_add_overflow(outline_.tensor_bytes, outline_.alignment - 1, &next_offset_)) return false;
        next_offset_ &= ~(outline_.alignment - 1);
        return true;
    }

    Step check_data() {
        // The position is at most the file's size and the alignment at most 1 GiB: this sum fits.
        outline_.data_offset = (reader_.position() + outline_.alignment - 1) & ~(outline_.alignment - 1);
        if (n_tensors_ == 0) {  // a vocabulary, or what is asked for its metadata only
            outline_.data_offset = std::min(outline_.data_offset, size_);
            return {};
        }
        std::uint64_t needed = 0;
        if (__builtin_add_overflow(outline_.data_offset, outline_.tensor_bytes, &needed)) {
            return refuse("the file is damaged: its tensors are larger than can be");
        }
        if (needed > size_) {
            return refuse(fmt::format("the file is truncated: it has {} bytes and its tensors need {}", size_, needed));
        }
        for (Tensor& tensor : outline_.tensors) tensor.begin += outline_.data_offset;
        return {};
    }

    ByteReader reader_;
    std::uint64_t size_;
    Outline outline_;
    std::uint64_t n_tensors_ = 0;
    std::uint64_t n_pairs_ = 0;
    std::uint64_t string_bytes_ = 0;
    bool too_long_ = false;
    bool early_mxfp4_ = false;
    std::unordered_set<std::string> names_;
    std::uint64_t next_offset_ = 0;
};

}  // namespace

Result<Outline> read_outline(std::istream& in, std::uint64_t size) {
    auto outline = OutlineReader(in, size).read(nullptr);
    if (!outline) return std::unexpected(std::move(outline.error()));
    return std::move(**outline);
}

Result<std::optional<Outline>> read_outline_unless(std::istream& in, std::uint64_t size,
                                                   const std::function<bool(const Outline&)>& enough) {
    return OutlineReader(in, size).read(enough);
}

}  // namespace sutazai::gguf
