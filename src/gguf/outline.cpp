#include "gguf/outline.h"

#include <algorithm>

namespace sutazai::gguf {

std::optional<std::uint64_t> Piece::end() const {
    std::uint64_t span = bytes;
    std::uint64_t out = 0;
    // Between the rows that are taken lies one of each that is not.
    const std::uint64_t others = row_bytes == 0 || bytes < row_bytes ? 0 : bytes - row_bytes;
    if (__builtin_add_overflow(span, others, &span) || __builtin_add_overflow(begin, span, &out)) return std::nullopt;
    return out;
}

RecodingUnit unit_of(Recoding recoding) {
    switch (recoding) {
        case Recoding::kEarlyMxfp4: return {17, 17};  // a scale and 32 values of four bits
        case Recoding::kWiden: return {2, 4};
        case Recoding::kNone: break;
    }
    return {};
}

std::vector<Piece> Tensor::all_pieces() const {
    const RecodingUnit unit = unit_of(recoding);
    return pieces.empty() ? std::vector<Piece>{{.begin = begin, .bytes = bytes / unit.to * unit.from}} : pieces;
}

const Value* Outline::find(std::string_view key) const {
    const auto found = std::ranges::find(pairs, key, &Pair::key);
    return found == pairs.end() ? nullptr : &found->value;
}

std::string_view Outline::text(std::string_view key) const {
    const Value* value = find(key);
    return value != nullptr && value->type == kString ? std::string_view(value->bytes) : std::string_view();
}

std::optional<std::uint64_t> Outline::number(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return std::nullopt;
    const auto not_negative = [](std::int64_t number) -> std::optional<std::uint64_t> {
        if (number < 0) return std::nullopt;
        return static_cast<std::uint64_t>(number);
    };
    const std::string& bytes = value->bytes;
    switch (value->type) {
        case kUint8: return from_bytes<std::uint8_t>(bytes);
        case kUint16: return from_bytes<std::uint16_t>(bytes);
        case kUint32: return from_bytes<std::uint32_t>(bytes);
        case kUint64: return from_bytes<std::uint64_t>(bytes);
        case kInt8: return not_negative(static_cast<std::int8_t>(from_bytes<std::uint8_t>(bytes)));
        case kInt16: return not_negative(static_cast<std::int16_t>(from_bytes<std::uint16_t>(bytes)));
        case kInt32: return not_negative(static_cast<std::int32_t>(from_bytes<std::uint32_t>(bytes)));
        case kInt64: return not_negative(static_cast<std::int64_t>(from_bytes<std::uint64_t>(bytes)));
        default: return std::nullopt;
    }
}

std::vector<std::uint64_t> Outline::numbers(std::string_view key) const {
    std::vector<std::uint64_t> out;
    const Value* value = find(key);
    if (value == nullptr || value->type != kArray || value->place) return out;
    if (value->element != kUint32 && value->element != kInt32) return out;
    for (std::size_t at = 0; at + 4 <= value->bytes.size(); at += 4) {
        const auto number =
            static_cast<std::int32_t>(from_bytes<std::uint32_t>(std::string_view(value->bytes).substr(at, 4)));
        out.push_back(number < 0 ? 0 : static_cast<std::uint64_t>(number));
    }
    return out;
}

const Tensor* Outline::find_tensor(std::string_view name) const {
    const auto found = std::ranges::find(tensors, name, &Tensor::name);
    return found == tensors.end() ? nullptr : &*found;
}

bool Outline::has_tensors_of(std::string_view prefix) const {
    return std::ranges::any_of(tensors, [&](const Tensor& tensor) { return tensor.name.starts_with(prefix); });
}

std::string printable(std::string_view text) {
    std::string out(text.substr(0, 64));
    std::ranges::replace_if(
        out, [](char c) { return c < ' ' || c > '~'; }, '?');
    return out;
}

}  // namespace sutazai::gguf
