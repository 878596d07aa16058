#include "gguf/draft.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace sutazai::gguf {
namespace {

constexpr std::uint64_t kMaxArrayBytes = 256ULL << 20;

}  // namespace

Value& Draft::value(std::string_view key) {
    const auto found = std::ranges::find(outline_.pairs, key, &Pair::key);
    if (found != outline_.pairs.end()) return found->value;
    return outline_.pairs.emplace_back(Pair{std::string(key), {}}).value;
}

void Draft::set_text(std::string_view key, std::string_view text) {
    value(key) = {.type = kString, .bytes = std::string(text)};
}

void Draft::set_u32(std::string_view key, std::uint32_t number) {
    Value out{.type = kUint32};
    append_bytes(out.bytes, number);
    value(key) = std::move(out);
}

void Draft::set_f32(std::string_view key, float number) {
    Value out{.type = kFloat32};
    append_bytes(out.bytes, std::bit_cast<std::uint32_t>(number));
    value(key) = std::move(out);
}

void Draft::set_i32s(std::string_view key, std::span<const std::int32_t> values) {
    Value out{.type = kArray, .element = kInt32, .count = values.size()};
    for (const std::int32_t number : values) append_bytes(out.bytes, static_cast<std::uint32_t>(number));
    value(key) = std::move(out);
}

void Draft::set_bytes(std::string_view key, std::string bytes) {
    value(key) = {.type = kArray, .element = kUint8, .count = bytes.size(), .bytes = std::move(bytes)};
}

void Draft::remove(std::string_view key) {
    std::erase_if(outline_.pairs, [&](const Pair& pair) { return pair.key == key; });
}

void Draft::remove_all(std::string_view prefix) {
    std::erase_if(outline_.pairs, [&](const Pair& pair) { return pair.key.starts_with(prefix); });
}

void Draft::copy(std::string_view from, std::string_view to) {
    const Value* found = outline_.find(from);
    if (found == nullptr || outline_.has(to)) return;
    Value copied = *found;
    value(to) = std::move(copied);
}

void Draft::move(std::string_view from, std::string_view to) {
    copy(from, to);
    remove(from);
}

void Draft::rename_architecture(std::string_view from, std::string_view to) {
    const std::string prefix = std::string(from) + ".";
    const std::string renamed = std::string(to) + ".";
    // What a file has under the new name already counts, and no key may be there twice.
    std::vector<std::string> twice;
    for (const Pair& pair : outline_.pairs) {
        if (!pair.key.starts_with(prefix)) continue;
        if (outline_.has(renamed + pair.key.substr(prefix.size()))) twice.push_back(pair.key);
    }
    for (const std::string& key : twice) remove(key);
    for (Pair& pair : outline_.pairs) {
        if (pair.key.starts_with(prefix)) pair.key = renamed + pair.key.substr(prefix.size());
    }
    set_text("general.architecture", to);
}

void Draft::set_u32_if_missing(std::string_view key, std::uint32_t number) {
    if (!outline_.has(key)) set_u32(key, number);
}

void Draft::set_f32_if_missing(std::string_view key, float number) {
    if (!outline_.has(key)) set_f32(key, number);
}

void Draft::set_text_if_missing(std::string_view key, std::string_view text) {
    if (!outline_.has(key)) set_text(key, text);
}

Result<void> Draft::load(Value& value) {
    if (!value.place) return {};
    const Range place = *value.place;
    if (place.bytes > kMaxArrayBytes) {
        return fail(ErrorCode::kLoadFailed, "the file's vocabulary is larger than any model's");
    }
    std::string bytes(place.bytes, '\0');
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(place.begin));
    in_.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (std::cmp_not_equal(in_.gcount(), bytes.size())) {
        return fail(ErrorCode::kLoadFailed, "the file became shorter while it was read");
    }
    value.bytes = std::move(bytes);
    value.place.reset();
    return {};
}

Result<std::vector<std::string>> Draft::texts(std::string_view key) {
    std::vector<std::string> out;
    const Value* found = outline_.find(key);
    if (found == nullptr || found->type != kArray || found->element != kString) return out;
    Value& array = value(key);
    if (auto loaded = load(array); !loaded) return std::unexpected(loaded.error());
    std::string_view rest = array.bytes;
    while (rest.size() >= sizeof(std::uint64_t)) {
        const auto length = from_bytes<std::uint64_t>(rest);
        rest.remove_prefix(sizeof(std::uint64_t));
        if (length > rest.size()) break;
        out.emplace_back(rest.substr(0, length));
        rest.remove_prefix(length);
    }
    return out;
}

Result<std::vector<std::int32_t>> Draft::i32s(std::string_view key) {
    std::vector<std::int32_t> out;
    const Value* found = outline_.find(key);
    if (found == nullptr || found->type != kArray) return out;
    if (found->element != kInt32 && found->element != kUint32) return out;
    Value& array = value(key);
    if (auto loaded = load(array); !loaded) return std::unexpected(loaded.error());
    const std::string_view bytes = array.bytes;
    for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
        out.push_back(static_cast<std::int32_t>(from_bytes<std::uint32_t>(bytes.substr(at, 4))));
    }
    return out;
}

Result<void> Draft::shorten(std::string_view key, std::uint64_t count) {
    const Value* found = outline_.find(key);
    if (found == nullptr || found->type != kArray || found->count <= count) return {};
    Value& array = value(key);
    if (auto loaded = load(array); !loaded) return loaded;
    std::uint64_t end = 0;
    if (array.element == kString) {
        for (std::uint64_t i = 0; i < count; ++i) {
            end += sizeof(std::uint64_t) + from_bytes<std::uint64_t>(std::string_view(array.bytes).substr(end));
        }
    } else {
        end = count * kValueBytes.at(array.element);
    }
    array.bytes.resize(end);
    array.count = count;
    return {};
}

Result<bool> Draft::token_is(std::size_t id, std::string_view text) {
    const auto tokens = texts("tokenizer.ggml.tokens");
    if (!tokens) return std::unexpected(tokens.error());
    return id < tokens->size() && (*tokens)[id] == text;
}

bool Draft::drop_tensors(std::string_view prefix) {
    return std::erase_if(outline_.tensors, [&](const Tensor& tensor) { return tensor.name.starts_with(prefix); }) > 0;
}

Tensor* Draft::tensor(std::string_view name) {
    const auto found = std::ranges::find(outline_.tensors, name, &Tensor::name);
    return found == outline_.tensors.end() ? nullptr : &*found;
}

void Draft::rename_tensor(std::string_view from, std::string_view to) {
    if (Tensor* found = tensor(from)) found->name = to;
}

void Draft::rename_part(std::string_view part, std::string_view to) {
    for (Tensor& tensor : outline_.tensors) {
        const auto at = tensor.name.find(part);
        if (at != std::string::npos) tensor.name.replace(at, part.size(), to);
    }
}

std::optional<BlockName> parse_block_name(std::string_view name) {
    constexpr std::string_view kPrefix = "blk.";
    if (!name.starts_with(kPrefix)) return std::nullopt;
    name.remove_prefix(kPrefix.size());
    BlockName out;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out.block);
    const auto digits = static_cast<std::size_t>(end - name.data());
    if (error != std::errc() || digits >= name.size() || name[digits] != '.') return std::nullopt;
    out.rest = name.substr(digits + 1);
    return out;
}

}  // namespace sutazai::gguf
