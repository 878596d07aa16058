#include "catalog/models_toml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "base/kv_types.h"
#include "base/model_parts.h"
#include "catalog/model_names.h"
#include "catalog/request_ranges.h"

// Last, because it says how the library is compiled.
#include "catalog/toml_library.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostTokens = std::numeric_limits<int>::max();
constexpr std::size_t kMostTextBytes = 1 << 20;
constexpr std::size_t kMostAdapters = 64;

std::string place_of(const toml::node& node) {
    return fmt::format("{}:{}", kModelsToml, node.source().begin.line);
}

/// A value as the file has it, for messages.
std::string shown(const toml::node& node) {
    if (const auto text = node.value_exact<std::string>()) {
        return text->size() <= 60 ? fmt::format("\"{}\"", *text) : std::string("a long text");
    }
    if (const auto number = node.value_exact<std::int64_t>()) return fmt::format("{}", *number);
    if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
    if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
    if (node.is_table()) return "a table";
    if (node.is_array()) return "a list";
    return "a date or time";
}

bool is_path(std::string_view text) {
    return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
           is_gguf_extension(fs::path(text).extension().string());
}

bool is_variable(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

/// Reads the keys of one model. The first thing wrong is kept, and later reads do nothing.
class ModelReader {
  public:
    ModelReader(std::string name, const toml::table& table, const std::string& folder)
        : table_(table), folder_(folder) {
        model_.name = std::move(name);
        model_.place = place_of(table);
    }

    Result<ConfiguredModel> read() {
        read_source();
        read_upstream();
        read_load();
        read_projector();
        read_request();
        if (const toml::node* node = take("pinned")) {
            if (const auto value = node->value_exact<bool>()) {
                model_.profile.pinned = value;
            } else {
                refuse("pinned", *node, "true or false");
            }
        }
        read_keep_alive();
        read_adapters();
        if (const toml::node* node = take("draft")) report("draft", *node, "is not built yet");
        refuse_unknown();
        if (error_) return std::unexpected(std::move(*error_));
        return std::move(model_);
    }

  private:
    const toml::node* take(std::string_view name) {
        taken_.push_back(name);
        return error_ ? nullptr : table_.get(name);
    }

    void report(std::string_view key, const toml::node& node, std::string_view what) {
        if (error_) return;
        error_ = Error{ErrorCode::kInvalidArgument,
                       fmt::format("{}: models.\"{}\".{} {}", place_of(node), model_.name, key, what), "models.toml"};
    }
    void refuse(std::string_view key, const toml::node& node, std::string_view allowed) {
        report(key, node, fmt::format("= {} is not allowed; it must be {}", shown(node), allowed));
    }

    std::optional<std::string> text(std::string_view key, std::size_t most) {
        const toml::node* node = take(key);
        if (node == nullptr) return std::nullopt;
        auto value = node->value_exact<std::string>();
        if (value && value->size() <= most) return value;
        refuse(key, *node, fmt::format("a text of at most {} bytes", most));
        return std::nullopt;
    }

    std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) {
        const toml::node* node = take(key);
        if (node == nullptr) return std::nullopt;
        const auto value = node->value_exact<std::int64_t>();
        if (value && *value >= least && *value <= most) return value;
        refuse(key, *node, fmt::format("a whole number, {} to {}", least, most));
        return std::nullopt;
    }

    std::string absolute(const std::string& path) const {
        return (fs::path(folder_) / path).lexically_normal().string();
    }

    void read_source() {
        const auto from = text("from", 4096);
        if (!from) return;
        const toml::node& node = *table_.get("from");
        if (from->starts_with('~')) return refuse("from", node, "a model's name, or a path that begins with / or ./");
        if (is_path(*from)) {
            model_.path = absolute(*from);
        } else if (is_valid_model_name(*from)) {
            model_.from = *from;
        } else {
            refuse("from", node, "a model's name, or a path that begins with / or ./");
        }
    }

    void read_upstream() {
        const auto upstream = text("upstream", 4096);
        const auto model = text("upstream_model", 200);
        const auto variable = text("upstream_key_env", 200);
        const auto needs = [&](const char* key, std::string_view what) { report(key, *table_.get(key), what); };
        if (!upstream) {
            if (model) needs("upstream_model", "needs an upstream");
            if (variable) needs("upstream_key_env", "needs an upstream");
            return;
        }
        if (table_.contains("from")) return needs("upstream", "and from exclude each other");
        RemoteModel remote{.model = model.value_or(model_.name)};
        if (upstream->find("://") == std::string::npos) {
            remote.upstream = *upstream;
            if (upstream->empty()) refuse("upstream", *table_.get("upstream"), "a name of UPSTREAMS, or an address");
            if (variable) needs("upstream_key_env", "goes with an address; UPSTREAM_KEYS has those of UPSTREAMS");
        } else if (auto address = parse_upstream(*upstream)) {
            remote.address = std::move(*address);
            remote.key_variable = variable.value_or("");
        } else {
            // What stands there may hold a password.
            report("upstream", *table_.get("upstream"),
                   fmt::format("is not allowed; it must be a name of UPSTREAMS, or {}", address.error().message));
        }
        if (variable && !is_variable(*variable)) {
            refuse("upstream_key_env", *table_.get("upstream_key_env"), "the name of an environment variable");
        }
        if (remote.model.empty()) refuse("upstream_model", *table_.get("upstream_model"), "a model's name");
        model_.remote = std::move(remote);
    }

    void read_load() {
        LoadChoices& load = model_.profile.load;
        if (const auto n = integer("context", 1, kMostContextTokens))
            load.context_tokens = static_cast<std::uint32_t>(*n);
        if (const auto type = text("kv_type", 64)) {
            load.kv_type = *type;
            if (type->empty() || !kv_type(*type)) {
                std::vector<std::string_view> names;
                names.reserve(std::size(kKvTypes));
                for (const KvType& known : kKvTypes) names.push_back(known.name);
                refuse("kv_type", *table_.get("kv_type"), fmt::format("one of {}", fmt::join(names, ", ")));
            }
        }
        if (const auto name = text("template", 4096)) {
            const bool is_file = name->find('/') != std::string::npos || name->ends_with(".jinja");
            if (name->empty() || name->starts_with('~')) {
                refuse("template", *table_.get("template"),
                       "the name of one of llama.cpp's templates, or the path of a .jinja file");
            }
            (is_file ? model_.template_file : load.chat_template) = is_file ? absolute(*name) : *name;
        }
    }

    void read_projector() {
        const auto path = text("projector", 4096);
        if (!path) return;
        if (path->empty() || path->starts_with('~')) {
            refuse("projector", *table_.get("projector"), "the path of a GGUF file");
        }
        model_.profile.load.projector = absolute(*path);
    }

    void read_request() {
        RequestDefaults& request = model_.profile.request;
        if (auto system = text("system", kMostTextBytes)) request.system = std::move(*system);
        for (const FloatField& field : kFloatFields) {
            const toml::node* node = take(field.name);
            if (node == nullptr) continue;
            const auto value = node->is_number() ? node->value<double>() : std::nullopt;
            if (value && std::isfinite(*value) && field.allows(*value)) {
                request.*field.member = static_cast<float>(*value);
            } else {
                refuse(field.name, *node,
                       fmt::format("a number, {}{} to {}", field.above_least ? "above " : "", field.least, field.most));
            }
        }
        if (const auto k = integer("top_k", 0, kMostTopK)) request.top_k = static_cast<int>(*k);
        if (const auto n = integer("max_tokens", -1, kMostTokens)) {
            request.max_tokens = static_cast<int>(*n);
            if (*n == 0) refuse("max_tokens", *table_.get("max_tokens"), "-1 or at least 1");
        }
        if (const auto seed = integer("seed", 0, std::numeric_limits<std::int64_t>::max())) {
            request.seed = static_cast<std::uint64_t>(*seed);
        }
        read_stop(request);
    }

    void read_stop(RequestDefaults& request) {
        const toml::node* node = take("stop");
        if (node == nullptr) return;
        const std::string allowed =
            fmt::format("a text, or a list of at most {} texts, of 1 to {} bytes each", kMostStops, kMostStopBytes);
        request.stop.emplace();
        const auto add = [&](const toml::node& one) {
            auto value = one.value_exact<std::string>();
            if (!value || value->empty() || value->size() > kMostStopBytes || request.stop->size() == kMostStops) {
                return refuse("stop", one, allowed);
            }
            request.stop->push_back(std::move(*value));
        };
        if (const toml::array* list = node->as_array()) {
            for (const toml::node& one : *list) add(one);
        } else {
            add(*node);
        }
    }

    void read_adapters() {
        const toml::node* node = take("adapters");
        if (node == nullptr) return;
        const toml::array* list = node->as_array();
        if (list == nullptr || list->size() > kMostAdapters) {
            return refuse("adapters", *node, fmt::format("a list of at most {}", kMostAdapters));
        }
        for (std::size_t i = 0; i < list->size(); ++i) read_adapter(fmt::format("adapters[{}]", i), *list->get(i));
    }

    void read_adapter(const std::string& key, const toml::node& node) {
        const toml::table* table = node.as_table();
        const toml::node* path_node = table == nullptr ? &node : table->get("path");
        const auto path = path_node == nullptr ? std::nullopt : path_node->value_exact<std::string>();
        if (!path || path->empty() || path->starts_with('~')) {
            return refuse(key, node, "the path of a GGUF file, or a table of path, name and scale");
        }
        AdapterChoice adapter{fs::path(*path).stem().string(), absolute(*path), 1};
        if (table != nullptr) {
            for (const auto& [name, value] : *table) {
                const std::string place = fmt::format("{}.{}", key, name.str());
                if (name.str() == "path") continue;
                if (name.str() == "name") {
                    adapter.name = value.value_exact<std::string>().value_or("");
                } else if (name.str() == "scale") {
                    const auto scale = value.is_number() ? value.value<double>() : std::nullopt;
                    if (!scale || !(std::abs(*scale) <= kMostAdapterScale)) {
                        return refuse(place, value,
                                      fmt::format("a number, {} to {}", -kMostAdapterScale, kMostAdapterScale));
                    }
                    adapter.scale = static_cast<float>(*scale);
                } else {
                    return report(place, value, "is no key of an adapter; there are path, name, scale");
                }
            }
        }
        if (adapter.name.empty() || adapter.name.size() > 200) {
            return report(key, node, "needs a name of 1 to 200 bytes");
        }
        std::vector<AdapterChoice>& all = model_.profile.request.adapters;
        if (std::ranges::find(all, adapter.name, &AdapterChoice::name) != all.end()) {
            return report(key, node, fmt::format("has the name \"{}\" of another one", adapter.name));
        }
        all.push_back(std::move(adapter));
    }

    void read_keep_alive() {
        const toml::node* node = take("keep_alive");
        if (node == nullptr) return;
        std::optional<KeepAlive> value;
        if (const auto words = node->value_exact<std::string>()) {
            value = parse_duration(*words);
        } else if (node->is_number()) {
            value = duration_from_seconds(*node->value<double>());
        }
        if (!value) return refuse("keep_alive", *node, "a time such as \"5m\" or \"1h30m\", or a number of seconds");
        model_.profile.keep_alive = value->count() < 0 ? kKeepForEver : *value;
    }

    void refuse_unknown() {
        for (const auto& [key, node] : table_) {
            if (std::ranges::find(taken_, key.str()) != taken_.end()) continue;
            const char* hint = node.is_table() ? " (a name with a dot in it stands in quotes)" : "";
            report(key.str(), node, fmt::format("is no key of a model; there are {}{}", fmt::join(taken_, ", "), hint));
        }
    }

    const toml::table& table_;
    const std::string& folder_;
    ConfiguredModel model_;
    std::vector<std::string_view> taken_;
    std::optional<Error> error_;
};

std::unexpected<Error> refuse(const std::string& message) {
    return fail(ErrorCode::kInvalidArgument, message, "models.toml");
}

/// The first line that BrokenToml comes of: what is read up to a line before it ends in something else.
std::size_t broken_line(std::string_view text) {
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n') ends.push_back(i + 1);
    }
    const auto reads_past = [text](std::size_t end) {
        try {
            (void)toml::parse(text.substr(0, end));
        } catch (const BrokenToml&) {
            return false;
        } catch (const toml::parse_error&) {
            return true;
        }
        return true;
    };
    return static_cast<std::size_t>(std::ranges::partition_point(ends, reads_past) - ends.begin()) + 1;
}

}  // namespace

bool ConfiguredModel::is_about_loading() const {
    return profile.load != LoadChoices{} || !template_file.empty() || profile.pinned || profile.keep_alive ||
           !profile.request.adapters.empty();
}

Result<std::vector<ConfiguredModel>> parse_models_toml(std::string_view text, const std::string& folder) {
    toml::table parsed;
    try {
        parsed = toml::parse(text);
    } catch (const toml::parse_error& error) {
        return refuse(fmt::format("{}:{}: {}", kModelsToml, error.source().begin.line, error.description()));
    } catch (const BrokenToml&) {
        return refuse(fmt::format("{}:{}: this is no TOML", kModelsToml, broken_line(text)));
    }
    std::vector<ConfiguredModel> out;
    for (const auto& [key, node] : parsed) {
        if (key.str() != "models") {
            return refuse(
                fmt::format("{}: {} is no key of this file; it holds [models.NAME] alone", place_of(node), key.str()));
        }
        const toml::table* models = node.as_table();
        if (models == nullptr) return refuse(fmt::format("{}: models must be a table", place_of(node)));
        for (const auto& [name, model] : *models) {
            if (!is_valid_model_name(name.str())) {
                return refuse(
                    fmt::format("{}: \"{}\" is no model name; it must have 1 to 200 letters, digits or ._:/- and "
                                "begin with a letter, digit or underscore",
                                place_of(model), name.str()));
            }
            const toml::table* table = model.as_table();
            if (table == nullptr) {
                return refuse(
                    fmt::format("{}: models.\"{}\" must be a table; a name with a dot stands in quotes, as in "
                                "[models.\"qwen2.5:3b\"]",
                                place_of(model), name.str()));
            }
            auto read = ModelReader(std::string(name.str()), *table, folder).read();
            if (!read) return std::unexpected(std::move(read.error()));
            out.push_back(std::move(*read));
        }
    }
    return out;
}

}  // namespace sutazai::catalog
