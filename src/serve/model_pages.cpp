#include "serve/model_pages.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_text.h"
#include "base/digest.h"
#include "base/json_text.h"
#include "base/small_file.h"
#include "catalog/gguf_metadata.h"
#include "catalog/model_profile.h"
#include "store/base_model.h"
#include "store/blob.h"
#include "store/modelfile.h"

namespace sutazai::serve {

namespace json = boost::json;
using api::ollama::ModelCard;
using api::ollama::ModelPage;

namespace {

/// Another one when the model is another one: what it is loaded from, how, and the state of its files.
std::string digest_of(const catalog::ModelFile& file) {
    Sha256 sum;
    sum.add(file.engine);
    for (const FileStamp& stamp : file.stamps) {
        sum.add_u64(stamp.device);
        sum.add_u64(stamp.inode);
        sum.add_u64(stamp.bytes);
        sum.add_u64(static_cast<std::uint64_t>(stamp.modified_ns));
    }
    return to_hex(sum.finish());
}

ModelCard outer_card(const catalog::ModelFile& file) {
    ModelCard card;
    card.name = file.name;
    card.modified = std::chrono::system_clock::from_time_t(file.modified_unix_s);
    card.bytes = file.bytes;
    card.digest = digest_of(file);
    const catalog::StoreFacts& facts = catalog::profile_of(file).facts;
    card.family = facts.family;
    card.parameter_size = facts.parameter_size;
    card.quantization = facts.quantization;
    return card;
}

void add_summary(ModelCard& card, const catalog::GgufSummary& summary) {
    card.family = summary.architecture;
    card.parameter_size = human_number(summary.parameters);
    if (summary.file_type) card.quantization = catalog::file_type_name(*summary.file_type);
    card.context_length = summary.context_length;
    card.embedding_length = summary.embedding_length;
    card.capabilities = {summary.has_pooling_type ? "embedding" : "completion"};
    if (summary.fills_gaps) card.capabilities.emplace_back("insert");
}

void add_vision(ModelCard& card, const catalog::ModelFile& file) {
    if (!catalog::profile_of(file).load.projector.empty()) card.capabilities.emplace_back("vision");
}

json::value scalar_json(const catalog::MetadataScalar& value) {
    return std::visit([](const auto& held) { return json::value(held); }, value);
}

json::object info_json(const std::vector<catalog::MetadataEntry>& entries, bool arrays) {
    json::object out;
    for (const catalog::MetadataEntry& entry : entries) {
        if (entry.key == "tokenizer.chat_template") continue;  // it is a field of its own
        if (!entry.is_array) {
            out[entry.key] = scalar_json(entry.values.front());
        } else if (arrays) {
            json::array list;
            list.reserve(entry.values.size());
            for (const catalog::MetadataScalar& value : entry.values) list.push_back(scalar_json(value));
            out[entry.key] = std::move(list);
        } else {
            out[entry.key] = nullptr;
        }
    }
    return out;
}

/// A line for each default of the model's requests: name and value.
std::vector<std::string> parameter_lines(const catalog::RequestDefaults& defaults) {
    std::vector<std::string> lines;
    const auto add = [&](const char* name, const auto& value) {
        if (value) lines.push_back(fmt::format("{} {}", name, *value));
    };
    add("temperature", defaults.temperature);
    add("top_k", defaults.top_k);
    add("top_p", defaults.top_p);
    add("min_p", defaults.min_p);
    add("repeat_penalty", defaults.repeat_penalty);
    add("presence_penalty", defaults.presence_penalty);
    add("frequency_penalty", defaults.frequency_penalty);
    add("seed", defaults.seed);
    add("num_predict", defaults.max_tokens);
    for (const std::string& stop : defaults.stop.value_or(std::vector<std::string>{})) {
        lines.push_back(fmt::format("stop \"{}\"", stop));
    }
    return lines;
}

/// The same, as a Modelfile has them.
json::object parameters_json(const catalog::ModelProfile& profile) {
    json::object out;
    const catalog::RequestDefaults& defaults = profile.request;
    const auto add_float = [&](const char* name, const std::optional<float>& value) {
        if (value) out[name] = as_written(*value);
    };
    add_float("temperature", defaults.temperature);
    if (defaults.top_k) out["top_k"] = *defaults.top_k;
    add_float("top_p", defaults.top_p);
    add_float("min_p", defaults.min_p);
    add_float("repeat_penalty", defaults.repeat_penalty);
    add_float("presence_penalty", defaults.presence_penalty);
    add_float("frequency_penalty", defaults.frequency_penalty);
    if (defaults.seed) out["seed"] = *defaults.seed;
    if (defaults.max_tokens) out["num_predict"] = *defaults.max_tokens;
    if (profile.load.least_context_tokens > 0) out["num_ctx"] = profile.load.least_context_tokens;
    json::array stops;
    for (const std::string& stop : defaults.stop.value_or(std::vector<std::string>{})) stops.emplace_back(stop);
    if (!stops.empty()) out["stop"] = std::move(stops);
    return out;
}

/// Fills in what the profile says, and the Modelfile, which says all of it again.
void add_profile(ModelPage& page, const catalog::ModelProfile& profile, std::vector<std::string> licenses) {
    page.system = profile.request.system.value_or("");
    page.parameters = fmt::format("{}", fmt::join(parameter_lines(profile.request), "\n"));
    for (const ChatMessage& message : profile.request.messages) {
        std::string text;
        for (const ContentPart& part : message.content) text += part.text;
        page.messages.emplace_back(to_string(message.role), std::move(text));
    }
    // Its adapters come with its name.
    page.modelfile = store::to_modelfile({.from = page.card.name,
                                          .chat_template = page.chat_template,
                                          .system = page.system,
                                          .licenses = std::move(licenses),
                                          .parameters = parameters_json(profile),
                                          .messages = page.messages});
}

/// What a chat template is for, by the words that it has: the engine, which knows it better, need not run for this.
void add_template_abilities(ModelCard& card, std::string_view source) {
    if (source.find("{%") == std::string_view::npos) return;
    const auto has = [&](std::string_view word) { return source.find(word) != std::string_view::npos; };
    if (has("tools") && (has("tool_call") || has("function"))) card.capabilities.emplace_back("tools");
    if (has("reasoning_content") || has("enable_thinking") || has("<think>") || has("<|channel|>analysis")) {
        card.capabilities.emplace_back("thinking");
    }
}

/// What a store has beside the model.
std::vector<std::string> store_licenses(const catalog::ModelFile& file, const catalog::ModelSources& sources) {
    constexpr std::size_t kMostBytes = 4 << 20;
    const auto base = store::base_model(file, sources);
    if (!base || !base->store) return {};
    std::vector<std::string> out;
    for (const store::Layer& layer : base->manifest.layers) {
        if (layer.media_type != std::string(store::kLayerTypePrefix) + "license") continue;
        auto text = read_small_file(store::blob_path(*base->store / "blobs", layer.digest).string(), kMostBytes);
        if (text) out.push_back(std::move(*text));
    }
    return out;
}

}  // namespace

namespace {

/// Nothing is known of it but who has it.
ModelCard remote_card(const catalog::ModelFile& file) {
    ModelCard card = outer_card(file);
    card.remote_model = file.remote->model;
    card.remote_host = file.remote->address ? to_string(file.remote->address->kind) : file.remote->upstream;
    card.capabilities = {"completion"};
    return card;
}

ModelPage remote_page(ModelPage page, const catalog::ModelProfile& profile) {
    add_profile(page, profile, {});
    return page;
}

}  // namespace

std::vector<ModelCard> ModelCards::all(std::span<const catalog::ModelFile> files) {
    std::vector<ModelCard> cards;
    std::set<std::string_view> paths;
    for (const catalog::ModelFile& file : files) {
        if (!file.remote) paths.insert(file.path);
        if (auto card = of(file)) cards.push_back(std::move(*card));
    }
    const std::lock_guard lock(mutex_);
    std::erase_if(known_, [&](const auto& entry) { return !paths.contains(entry.first); });
    return cards;
}

std::optional<ModelCard> ModelCards::of(const catalog::ModelFile& file) {
    if (!file.problem.empty()) return std::nullopt;
    if (file.remote) return remote_card(file);
    const catalog::StoreFacts& facts = catalog::profile_of(file).facts;
    if (!facts.family.empty() && !facts.parameter_size.empty()) {
        ModelCard card = outer_card(file);
        card.capabilities = {facts.family.ends_with("bert") ? "embedding" : "completion"};
        add_vision(card, file);
        return card;
    }
    auto card = full(file);
    return card ? std::optional(std::move(*card)) : std::nullopt;
}

Result<ModelCard> ModelCards::full(const catalog::ModelFile& file) {
    if (file.remote) return remote_card(file);
    const auto summary = summary_of(file);
    if (!summary) return std::unexpected(summary.error());
    ModelCard card = outer_card(file);
    add_summary(card, *summary);
    add_vision(card, file);
    return card;
}

Result<catalog::GgufSummary> ModelCards::summary_of(const catalog::ModelFile& file) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = known_.find(file.path);
        if (found != known_.end() && found->second.stamps == file.stamps) return found->second.summary;
    }
    auto summary = catalog::read_gguf_summary(file.path);
    const std::lock_guard lock(mutex_);
    known_.insert_or_assign(file.path, Known{file.stamps, summary});
    return summary;
}

api::ollama::RunningModel running_model(ModelCard card, const models::ModelStatus& status) {
    api::ollama::RunningModel out{.card = std::move(card)};
    out.bytes = status.measured_bytes > 0 ? status.measured_bytes : status.expected_bytes;
    out.gpu_bytes = status.info.on_gpu ? out.bytes : 0;
    out.context_tokens = status.info.context_per_sequence;
    out.expires = status.unload_at;
    return out;
}

Result<ModelPage> model_page(ModelCards& cards, const catalog::ModelFile& file, const catalog::ModelSources& sources,
                             bool verbose) {
    ModelPage page;
    auto card = cards.full(file);
    if (!card) return std::unexpected(std::move(card.error()));
    page.card = std::move(*card);
    if (file.remote) return remote_page(std::move(page), catalog::profile_of(file));
    const auto arrays = verbose ? catalog::Arrays::kRead : catalog::Arrays::kSkip;
    const auto entries = catalog::read_gguf_metadata(file.path, arrays);
    if (!entries) return std::unexpected(entries.error());
    const catalog::ModelProfile& profile = catalog::profile_of(file);
    page.model_info = info_json(*entries, verbose);
    std::vector<std::string> licenses = store_licenses(file, sources);
    page.license = fmt::format("{}", fmt::join(licenses, "\n"));
    if (page.license.empty()) page.license = catalog::text_of(*entries, "general.license");
    page.chat_template = catalog::text_of(*entries, "tokenizer.chat_template");
    if (page.chat_template.empty()) page.chat_template = profile.load.fallback_template;
    if (!profile.load.chat_template.empty()) page.chat_template = profile.load.chat_template;
    add_template_abilities(page.card, page.chat_template);
    add_profile(page, profile, std::move(licenses));
    return page;
}

}  // namespace sutazai::serve
