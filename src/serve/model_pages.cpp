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
#include "base/small_file.h"
#include "catalog/gguf_metadata.h"
#include "catalog/model_profile.h"
#include "store/base_model.h"
#include "store/blob.h"

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

std::string modelfile_of(const ModelPage& page, const std::vector<std::string>& parameters) {
    // Its adapters come with its name.
    std::string out = fmt::format("FROM {}\n", page.card.name);
    if (!page.chat_template.empty()) out += fmt::format("TEMPLATE \"\"\"{}\"\"\"\n", page.chat_template);
    if (!page.system.empty()) out += fmt::format("SYSTEM \"\"\"{}\"\"\"\n", page.system);
    for (const std::string& line : parameters) out += fmt::format("PARAMETER {}\n", line);
    return out;
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
std::string store_licenses(const catalog::ModelFile& file, const catalog::ModelSources& sources) {
    constexpr std::size_t kMostBytes = 4 << 20;
    const auto base = store::base_model(file, sources);
    if (!base || !base->store) return {};
    std::string out;
    for (const store::Layer& layer : base->manifest.layers) {
        if (layer.media_type != std::string(store::kLayerTypePrefix) + "license") continue;
        const auto text = read_small_file(store::blob_path(*base->store / "blobs", layer.digest).string(), kMostBytes);
        if (text) out += (out.empty() ? "" : "\n") + *text;
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
    page.system = profile.request.system.value_or("");
    const std::vector<std::string> parameters = parameter_lines(profile.request);
    page.parameters = fmt::format("{}", fmt::join(parameters, "\n"));
    page.modelfile = modelfile_of(page, parameters);
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
    page.license = store_licenses(file, sources);
    if (page.license.empty()) page.license = catalog::text_of(*entries, "general.license");
    page.chat_template = catalog::text_of(*entries, "tokenizer.chat_template");
    if (page.chat_template.empty()) page.chat_template = profile.load.fallback_template;
    if (!profile.load.chat_template.empty()) page.chat_template = profile.load.chat_template;
    add_template_abilities(page.card, page.chat_template);
    page.system = profile.request.system.value_or("");
    const std::vector<std::string> parameters = parameter_lines(profile.request);
    page.parameters = fmt::format("{}", fmt::join(parameters, "\n"));
    page.modelfile = modelfile_of(page, parameters);
    return page;
}

}  // namespace sutazai::serve
