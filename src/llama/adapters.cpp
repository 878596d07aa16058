#include "llama/adapters.h"

#include <fmt/format.h>
#include <ggml.h>
#include <llama-model.h>  // llama.cpp's own: nothing public tells what tensors a model has
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "gguf/byte_reader.h"
#include "gguf/outline.h"

namespace sutazai::llama {
namespace {

constexpr int kMostRank = 1024;

/// Whoever asks may name adapters, and it is the server's settings that say which files those are.
std::unexpected<Error> refuse(std::string_view name, std::string_view why) {
    return fail(ErrorCode::kLoadFailed, fmt::format("the adapter {} {}", name, why));
}

/// What a metadata entry says as a number with a fraction; 0 where there is none.
float fraction(const gguf::Outline& outline, std::string_view key) {
    const gguf::Value* value = outline.find(key);
    if (value == nullptr || value->type != gguf::kFloat32 || value->bytes.size() != sizeof(float)) return 0;
    float number = 0;
    std::memcpy(&number, value->bytes.data(), sizeof number);
    return number;
}

struct Halves {
    const gguf::Tensor* a = nullptr;
    const gguf::Tensor* b = nullptr;
};

/// The tensors in pairs, by the weight's name.
Result<std::map<std::string, Halves>> halves_of(const gguf::Outline& outline) {
    std::map<std::string, Halves> out;
    for (const gguf::Tensor& tensor : outline.tensors) {
        std::string_view name = tensor.name;
        constexpr std::string_view kA = ".lora_a";
        constexpr std::string_view kB = ".lora_b";
        if (name.ends_with(kA)) {
            name.remove_suffix(kA.size());
            out[std::string(name)].a = &tensor;
        } else if (name.ends_with(kB)) {
            name.remove_suffix(kB.size());
            out[std::string(name)].b = &tensor;
        } else {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("holds {}, which is no half of a low-rank pair", gguf::printable(tensor.name)));
        }
    }
    if (out.empty()) return fail(ErrorCode::kInvalidArgument, "holds no tensors");
    return out;
}

/// What is wrong with a pair for a model; empty: nothing.
std::string mismatch(const llama_model& model, const std::string& weight, const Halves& halves) {
    const std::string name = gguf::printable(weight);
    if (halves.a == nullptr || halves.b == nullptr) return fmt::format("has only one half of a pair for {}", name);
    const ggml_tensor* tensor = model.get_tensor(weight.c_str());
    if (tensor == nullptr) return fmt::format("is for another model: this one has no {}", name);
    if (weight == "token_embd.weight") return "changes the table of token embeddings, which is not built";
    if (tensor->ne[2] != 1) return fmt::format("changes {}, a tensor of many experts, which is not built", name);
    const auto& a = halves.a->shape;
    const auto& b = halves.b->shape;
    const auto in = static_cast<std::uint64_t>(tensor->ne[0]);
    const auto out = static_cast<std::uint64_t>(tensor->ne[1]);
    if (a[0] != in || b[1] != out || a[1] != b[0] || a[2] * a[3] * b[2] * b[3] != 1) {
        return fmt::format("is for another model: for {} of {} x {} it has {} x {} and {} x {}", name, in, out, a[0],
                           a[1], b[0], b[1]);
    }
    if (a[1] < 1 || a[1] > kMostRank) return fmt::format("has a rank of {}; 1 to {} are allowed", a[1], kMostRank);
    return {};
}

/// Numbers of any type that ggml knows as F32, or F16 as they are. Nothing when one of them is no number.
std::optional<std::vector<std::byte>> numbers_of(const gguf::Tensor& tensor, std::string_view file, bool f16) {
    const char* from = file.data() + tensor.begin;
    const auto n = static_cast<std::int64_t>(tensor.elements);
    const auto type = static_cast<ggml_type>(tensor.type);
    std::vector<float> wide(tensor.elements);
    if (type == GGML_TYPE_F32) {
        std::memcpy(wide.data(), from, tensor.bytes);
    } else {
        ggml_get_type_traits(type)->to_float(from, wide.data(), n);
    }
    if (!std::ranges::all_of(wide, [](float x) { return std::isfinite(x); })) return std::nullopt;
    std::vector<std::byte> out(tensor.elements * (f16 ? sizeof(ggml_fp16_t) : sizeof(float)));
    if (f16) {
        std::memcpy(out.data(), from, out.size());
    } else {
        std::memcpy(out.data(), wide.data(), out.size());
    }
    return out;
}

/// [columns][rows] as [rows][columns].
template <typename T>
std::vector<std::byte> transposed(const std::vector<std::byte>& matrix, std::size_t columns, std::size_t rows) {
    std::vector<std::byte> out(matrix.size());
    const auto* from = reinterpret_cast<const T*>(matrix.data());
    auto* to = reinterpret_cast<T*>(out.data());
    for (std::size_t column = 0; column < columns; ++column) {
        for (std::size_t row = 0; row < rows; ++row) to[row * columns + column] = from[column * rows + row];
    }
    return out;
}

bool can_be_read(const gguf::Tensor& tensor) {
    return tensor.type < GGML_TYPE_COUNT &&
           (tensor.type == GGML_TYPE_F32 ||
            ggml_get_type_traits(static_cast<ggml_type>(tensor.type))->to_float != nullptr);
}

}  // namespace

Result<std::shared_ptr<const AdapterSet>> AdapterShelf::open(std::span<const AdapterChoice> wanted) {
    const std::lock_guard lock(mutex_);
    auto set = std::make_shared<AdapterSet>();
    if (wanted.empty()) return set;
    if (llama_model_is_recurrent(model_) || llama_model_is_hybrid(model_)) {
        return fail(ErrorCode::kLoadFailed, "adapters are not built for models with recurrent layers");
    }
    for (const AdapterChoice& choice : wanted) {
        auto adapter = get(choice);
        if (!adapter) return std::unexpected(std::move(adapter.error()));
        if (choice.scale != 0) set->members.push_back({std::move(*adapter), choice.scale});
    }
    std::ranges::stable_sort(set->members, {}, [](const auto& member) { return member.adapter->digest; });
    for (const AdapterSet::Member& member : set->members) {
        std::uint32_t scale = 0;
        std::memcpy(&scale, &member.scale, sizeof scale);
        set->key += fmt::format("{}*{:08x};", to_hex(member.adapter->digest), scale);
    }
    if (!set->members.empty()) was_used_ = true;
    return set;
}

std::vector<std::string> AdapterShelf::weights() const {
    const std::lock_guard lock(numbers_mutex_);
    std::vector<std::string> names(numbers_.size());
    for (const auto& [name, number] : numbers_) names[number] = name;
    return names;
}

std::size_t AdapterShelf::number_of(const std::string& weight) {
    const std::lock_guard lock(numbers_mutex_);
    return numbers_.try_emplace(weight, numbers_.size()).first->second;
}

Result<std::shared_ptr<const Adapter>> AdapterShelf::get(const AdapterChoice& wanted) {
    const auto stamp = stamp_of(wanted.path);
    if (!stamp) return refuse(wanted.name, "is not there any more, or is no file");
    const auto known = std::ranges::find_if(
        kept_, [&](const Kept& kept) { return kept.path == wanted.path && kept.stamp.same_content(*stamp); });
    if (known != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, known);
        return kept_.front().adapter;
    }
    // Of another content under this name nobody will ask any more.
    std::erase_if(kept_, [&](const Kept& kept) { return kept.path == wanted.path; });
    // About what it takes: the file is little else than its matrices.
    if (auto room = make_room(stamp->bytes); !room) return std::unexpected(std::move(room.error()));
    auto adapter = read(wanted);
    if (!adapter) return adapter;
    const auto after = stamp_of(wanted.path);
    if (!after || !after->same_content(*stamp)) return refuse(wanted.name, "was changed while it was read");
    const auto same =
        std::ranges::find_if(kept_, [&](const Kept& kept) { return kept.adapter->digest == (*adapter)->digest; });
    if (same != kept_.end()) *adapter = same->adapter;
    kept_.push_front({wanted.path, *stamp, *adapter});
    return adapter;
}

Result<std::shared_ptr<const Adapter>> AdapterShelf::read(const AdapterChoice& wanted) {
    auto opened = gguf::open_model_file(wanted.path);
    if (!opened) return refuse(wanted.name, "cannot be read: " + opened.error().message);
    const auto outline = gguf::read_outline(opened->in, opened->size);
    if (!outline) return refuse(wanted.name, "cannot be read: " + outline.error().message);
    if (outline->text("general.type") != "adapter" || outline->text("adapter.type") != "lora") {
        return refuse(wanted.name, "is no LoRA adapter in GGUF");
    }
    char architecture[128];
    const int length = llama_model_meta_val_str(model_, "general.architecture", architecture, sizeof architecture);
    const std::string_view own(architecture, static_cast<std::size_t>(std::max(0, length)));
    if (outline->architecture() != own) {
        return refuse(wanted.name, fmt::format("is for models of {}, and this is one of {}",
                                               gguf::printable(outline->architecture()), own));
    }
    if (outline->has("adapter.alora.invocation_tokens")) {
        return refuse(wanted.name, "is to begin in the middle of a prompt (aLoRA), which is not built");
    }
    const auto halves = halves_of(*outline);
    if (!halves) return refuse(wanted.name, halves.error().message);
    for (const auto& [weight, pair] : *halves) {
        if (const std::string wrong = mismatch(*model_, weight, pair); !wrong.empty()) {
            return refuse(wanted.name, wrong);
        }
        if (!can_be_read(*pair.a) || !can_be_read(*pair.b)) {
            return refuse(wanted.name, "has tensors of a type that cannot be read here");
        }
    }
    std::string file(opened->size, '\0');
    opened->in.clear();
    opened->in.seekg(0);
    if (!opened->in.read(file.data(), static_cast<std::streamsize>(file.size()))) {
        return refuse(wanted.name, "cannot be read to its end");
    }
    auto adapter = std::make_shared<Adapter>();
    adapter->digest = sha256(std::as_bytes(std::span(file)));
    const float alpha = fraction(*outline, "adapter.lora.alpha");
    for (const auto& [weight, pair] : *halves) {
        const bool f16 = pair.a->type == GGML_TYPE_F16 && pair.b->type == GGML_TYPE_F16;
        auto a = numbers_of(*pair.a, file, f16);
        auto b = numbers_of(*pair.b, file, f16);
        if (!a || !b) return refuse(wanted.name, "holds what is no number for " + gguf::printable(weight));
        const auto rank = static_cast<std::size_t>(pair.a->shape[1]);
        const auto n_out = static_cast<std::size_t>(pair.b->shape[1]);
        *b = f16 ? transposed<ggml_fp16_t>(*b, n_out, rank) : transposed<float>(*b, n_out, rank);
        adapter->matrices.push_back(std::move(*a));
        adapter->matrices.push_back(std::move(*b));
        const std::size_t number = number_of(weight);
        if (adapter->pairs.size() <= number) adapter->pairs.resize(number + 1);
        adapter->pairs[number] = {.rank = static_cast<int>(rank),
                                  .scale = alpha == 0 ? 1 : alpha / static_cast<float>(rank),
                                  .is_f16 = f16,
                                  .a = adapter->matrices.end()[-2].data(),
                                  .b = adapter->matrices.back().data()};
        adapter->most_rank = std::max(adapter->most_rank, static_cast<int>(rank));
    }
    for (const auto& matrix : adapter->matrices) adapter->bytes += matrix.size();
    return adapter;
}

/// Lets go of those that nobody uses, used longest ago first, until `bytes` more are within the bound.
Result<void> AdapterShelf::make_room(std::uint64_t bytes) {
    const auto held = [&] {
        std::uint64_t sum = bytes;
        for (const Kept& kept : kept_) sum += kept.adapter->bytes;
        return sum;
    };
    for (auto next = kept_.end(); held() > most_bytes_ && next != kept_.begin();) {
        --next;
        if (next->adapter.use_count() == 1) next = kept_.erase(next);
    }
    if (held() <= most_bytes_) return {};
    return fail(ErrorCode::kUnavailable,
                fmt::format("the adapters in use and this one take {} MiB; {} are allowed (ADAPTER_CACHE_BYTES)",
                            held() >> 20, most_bytes_ >> 20));
}

}  // namespace sutazai::llama
