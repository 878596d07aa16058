#include "artifact/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace sutazai::artifact {
namespace {

constexpr std::size_t kMostTextBytes = 16 << 10;
constexpr std::size_t kMostFields = 64;

struct Label {
    std::string_view name;
    std::string_view label;
};
constexpr std::array<Label, 23> kLabels{{
    {"format", "artifact format version"},
    {"byte_order", "byte order"},
    {"llama_version", "llama.cpp version"},
    {"llama_state_version", "llama.cpp state version"},
    {"weights", "weights (SHA-256)"},
    {"architecture", "architecture"},
    {"type_k", "KV type of keys"},
    {"type_v", "KV type of values"},
    {"flash_attention", "flash attention"},
    {"n_layer", "layers"},
    {"n_head", "attention heads"},
    {"n_head_kv", "KV heads"},
    {"n_embd", "width"},
    {"n_embd_k", "width of keys"},
    {"n_embd_v", "width of values"},
    {"sliding_window", "attention window"},
    {"rope_type", "RoPE type"},
    {"rope_scaling", "RoPE scaling"},
    {"rope_freq_base", "RoPE base"},
    {"rope_freq_scale", "RoPE scale"},
    {"rope_other", "RoPE parameters"},
    {"translation", "translation of the file"},
    {"lora", "LoRA adapters"},
}};

std::string_view label_of(std::string_view name) {
    const auto* found = std::ranges::find(kLabels, name, &Label::name);
    return found == kLabels.end() ? name : found->label;
}

/// Values come from model files: a line break or a control character in one must not make another field.
std::string printable(std::string_view text) {
    std::string out(text.substr(0, 512));
    std::ranges::replace_if(
        out, [](char c) { return c < ' ' || c > '~'; }, '?');
    const auto end = out.find_last_not_of(' ');
    out.resize(end == std::string::npos ? 0 : end + 1);
    return out;
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

}  // namespace

Fingerprint::Fingerprint(const FingerprintParts& parts) {
    const auto add = [&](std::string_view name, const auto& value) {
        fields_.emplace_back(name, printable(fmt::format("{}", value)));
    };
    add("format", kFormatVersion);
    add("byte_order", std::endian::native == std::endian::little ? "little" : "big");
    add("llama_version", parts.llama_version);
    add("llama_state_version", parts.llama_state_version);
    add("weights", to_hex(parts.weights));
    add("architecture", parts.architecture);
    add("type_k", parts.type_k);
    add("type_v", parts.type_v);
    add("flash_attention", parts.flash_attention ? "on" : "off");
    add("n_layer", parts.n_layer);
    add("n_head", parts.n_head);
    add("n_head_kv", parts.n_head_kv);
    add("n_embd", parts.n_embd);
    add("n_embd_k", parts.n_embd_k);
    add("n_embd_v", parts.n_embd_v);
    add("sliding_window", parts.sliding_window);
    add("rope_type", parts.rope_type);
    add("rope_scaling", parts.rope_scaling);
    add("rope_freq_base", parts.rope_freq_base);  // shortest text that reads back as the same float
    add("rope_freq_scale", parts.rope_freq_scale);
    add("rope_other", parts.rope_other);
    add("lora", parts.lora);
    if (!parts.translation.empty()) add("translation", parts.translation);  // others keep the fingerprint that they had
    seal();
}

void Fingerprint::seal() {
    for (const auto& [name, value] : fields_) text_ += fmt::format("{} = {}\n", name, value);
    digest_ = sha256(std::as_bytes(std::span(text_)));
}

Result<Fingerprint> Fingerprint::parse(std::string_view text) {
    const auto refuse = [](std::string_view why) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("this is no fingerprint: {}", why));
    };
    if (text.size() > kMostTextBytes) return refuse("it is too long");
    const std::string_view given = text;
    Fingerprint out;
    while (!text.empty()) {
        const auto newline = text.find('\n');
        if (newline == std::string_view::npos) return refuse("its last line has no end");
        const std::string_view line = text.substr(0, newline);
        text.remove_prefix(newline + 1);
        const auto equals = line.find(" = ");
        if (equals == std::string_view::npos || !is_name(line.substr(0, equals))) {
            return refuse("a line is not \"name = value\"");
        }
        const std::string name(line.substr(0, equals));
        if (out.fields_.size() == kMostFields) return refuse("it has too many lines");
        if (std::ranges::find(out.fields_, name, &std::pair<std::string, std::string>::first) != out.fields_.end()) {
            return refuse("a name is there twice");
        }
        out.fields_.emplace_back(name, printable(line.substr(equals + 3)));
    }
    if (out.fields_.empty()) return refuse("it is empty");
    out.seal();
    if (out.text_ != given) return refuse("a value holds what no value may hold");
    return out;
}

std::string Fingerprint::id() const {
    return to_hex(digest_).substr(0, 16);
}

bool Fingerprint::has(std::string_view name) const {
    return std::ranges::find(fields_, name, &std::pair<std::string, std::string>::first) != fields_.end();
}

std::string_view Fingerprint::value(std::string_view name) const {
    const auto found = std::ranges::find(fields_, name, &std::pair<std::string, std::string>::first);
    return found == fields_.end() ? std::string_view() : found->second;
}

std::string difference(const Fingerprint& found, const Fingerprint& wanted, std::string_view name) {
    const std::string_view have = found.value(name);
    const std::string_view want = wanted.value(name);
    if (have == want) return {};
    const auto show = [&](std::string_view value) {
        if (value.empty()) return std::string_view("none");
        return name == "weights" ? value.substr(0, 16) : value;
    };
    return fmt::format("{} is {}, not {}", label_of(name), show(have), show(want));
}

std::vector<std::string> differences(const Fingerprint& found, const Fingerprint& wanted) {
    std::vector<std::string> out;
    const auto add = [&](std::string_view name) {
        std::string text = difference(found, wanted, name);
        if (!text.empty()) out.push_back(std::move(text));
    };
    for (const auto& [name, value] : found.fields_) add(name);
    for (const auto& [name, value] : wanted.fields_) {
        if (!found.has(name)) add(name);
    }
    if (out.empty() && found != wanted) out.emplace_back("the order of the fields differs");
    return out;
}

}  // namespace sutazai::artifact
