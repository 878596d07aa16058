#include "cli/cache_files_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <sstream>

#include "artifact/folder.h"
#include "artifact/transfer.h"
#include "artifact/weights_digest.h"
#include "base/byte_text.h"
#include "base/model_parts.h"
#include "catalog/gguf_file.h"
#include "cli/find_model.h"
#include "cli/model_files.h"
#include "cli/setting_flags.h"
#include "cli/terminal.h"
#include "llama/kv_fingerprint.h"

namespace sutazai::cli {

namespace fs = std::filesystem;

namespace {

using Flags = std::map<std::string, std::string>;
using artifact::Fingerprint;

/// While this lives, ctrl-C and SIGTERM are noted rather than obeyed, so that what was begun is cleaned up.
class Interruption {
  public:
    Interruption() {
        noted_ = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { noted_ = 1; };
        sigaction(SIGINT, &action, &before_[0]);
        sigaction(SIGTERM, &action, &before_[1]);
    }
    ~Interruption() {
        sigaction(SIGINT, &before_[0], nullptr);
        sigaction(SIGTERM, &before_[1], nullptr);
    }
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;
    [[nodiscard]] static bool noted() { return noted_ != 0; }

  private:
    inline static volatile sig_atomic_t noted_ = 0;
    std::array<struct sigaction, 2> before_{};
};

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

artifact::UnixTime unix_now() {
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

artifact::TransferProgress shown_on(ProgressLine& line, const std::string& what) {
    return [&line, what](std::uint64_t done, std::uint64_t total) {
        line.show(what, total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total));
        return !Interruption::noted();
    };
}

/// The digest of a model's file; large files that were never looked at take seconds.
Result<std::string> weights_of(const fs::path& artifacts, const std::string& path, ProgressLine& line) {
    double size = 0;
    for (const FileStamp& stamp : model_stamps(path).value_or(FileStamps())) size += static_cast<double>(stamp.bytes);
    double read = 0;
    const auto digest = artifact::weights_digest(artifacts, path, [&] {
        line.show("reading " + fs::path(path).filename().string(), size > 0 ? read / size : 0);
        read += 8 << 20;
        return Interruption::noted();
    });
    line.clear();
    if (!digest) return std::unexpected(digest.error());
    return to_hex(*digest);
}

std::string counted(std::uint64_t n) {
    return fmt::format("{} {}", n, n == 1 ? "artifact" : "artifacts");
}

/// Takes the names out of --model NAME; those of --model NAME=PATH stay, as the setting that they are.
std::vector<std::string> take_names(Flags& setting_flags) {
    const auto given = setting_flags.find("MODELS");
    if (given == setting_flags.end()) return {};
    std::vector<std::string> names, settings;
    std::istringstream text(given->second);
    for (std::string part; std::getline(text, part, ',');) {
        (part.find('=') == std::string::npos ? names : settings).push_back(part);
    }
    if (settings.empty()) {
        setting_flags.erase(given);
    } else {
        given->second = fmt::format("{}", fmt::join(settings, ","));
    }
    return names;
}

int export_file(const std::string& file, const Flags& given) {
    Flags setting_flags = given;
    const std::vector<std::string> names = take_names(setting_flags);
    const auto loaded = load_settings(setting_flags);
    if (!loaded) return report(loaded.error());
    const fs::path folder = loaded->settings.cache_artifacts_dir;
    const Interruption interruption;
    ProgressLine line(stderr);
    std::set<std::string, std::less<>> weights;
    if (!names.empty()) {
        const auto catalog = open_catalog(loaded->settings, executable_path());
        if (!catalog) return report(catalog.error());
        for (const std::string& name : names) {
            const auto model = find_model(*catalog, name);
            if (!model) return report(model.error());
            auto digest = weights_of(folder, model->path, line);
            if (!digest) return report(digest.error());
            weights.insert(std::move(*digest));
        }
    }
    const auto done = artifact::export_artifacts(
        folder,
        [&](const Fingerprint& fingerprint) {
            return weights.empty() || weights.contains(fingerprint.value("weights"));
        },
        file, shown_on(line, "exporting"));
    line.clear();
    if (!done) {
        if (done.error().code != ErrorCode::kNotFound) return report(done.error());
        return report(
            {ErrorCode::kNotFound, fmt::format("there are no artifacts{}{} in {}", names.empty() ? "" : " of ",
                                               fmt::join(names, ", "), folder.string())});
    }
    fmt::print("{}, {} written to {}\n", counted(done->artifacts), byte_text(done->bytes), file);
    if (done->skipped > 0) fmt::print("{} left out: damaged, or removed meanwhile\n", counted(done->skipped));
    return 0;
}

int import_file(const std::string& file, const Flags& setting_flags) {
    const auto loaded = load_settings(setting_flags);
    if (!loaded) return report(loaded.error());
    const config::Settings& settings = loaded->settings;
    const fs::path folder = settings.cache_artifacts_dir;
    if (settings.cache_artifact_bytes == 0) {
        return report({ErrorCode::kForbidden, "artifacts are switched off: CACHE_ARTIFACT_BYTES is 0"});
    }
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error) return report({ErrorCode::kNotFound, fmt::format("{}: {}", file, error.message())});
    if (size > settings.cache_artifact_bytes) {
        return report(
            {ErrorCode::kInvalidArgument, fmt::format("{} has {}, and CACHE_ARTIFACT_BYTES allows {}", file,
                                                      byte_text(size), byte_text(settings.cache_artifact_bytes))});
    }
    const auto catalog = open_catalog(settings, executable_path());
    if (!catalog) return report(catalog.error());

    const Interruption interruption;
    ProgressLine line(stderr);
    ImportContext context;
    for (auto& entry : artifact::list_folder(folder)) context.local.push_back(std::move(entry.fingerprint));
    const llama::KvBuild build = llama::kv_build();
    context.build.llama_version = build.llama_version;
    context.build.llama_state_version = build.state_version;
    context.model_of = [&](const std::string& weights, const std::string& architecture) -> std::string {
        for (const bool compute : {false, true}) {
            for (const auto& model : catalog->list()) {
                if (model.remote) continue;
                if (!compute) {
                    const auto known = artifact::cached_weights_digest(folder, model.path);
                    if (known && to_hex(*known) == weights) return model.name;
                    continue;
                }
                const auto summary = catalog::read_gguf_summary(model.path);
                if (!summary || summary->architecture != architecture) continue;
                const auto digest = weights_of(folder, model.path, line);
                if (digest && *digest == weights) return model.name;
            }
        }
        return {};
    };
    const auto done = artifact::import_artifacts(
        file, folder, [&](const Fingerprint& found) { return import_refusal(found, context); }, unix_now(),
        shown_on(line, "importing"));
    line.clear();
    if (!done) return report(done.error());
    const std::chrono::days retention(settings.cache_artifact_retention_days);
    const auto pruned = artifact::prune_folder(folder, {retention, settings.cache_artifact_bytes}, unix_now());
    fmt::print("{} read from {}, {} of them new\n", counted(done->artifacts), file, done->added);
    if (pruned && pruned->removed > 0) {
        fmt::print("{} removed to stay within CACHE_ARTIFACT_BYTES and CACHE_ARTIFACT_RETENTION_DAYS\n",
                   counted(pruned->removed));
    }
    return 0;
}

}  // namespace

std::string import_refusal(const Fingerprint& found, const ImportContext& context) {
    const Fingerprint here(context.build);
    for (const char* name : {"format", "byte_order", "llama_version", "llama_state_version"}) {
        const std::string difference = artifact::difference(found, here, name);
        if (!difference.empty()) return "these artifacts cannot be used here: " + difference;
    }
    const std::string weights(found.value("weights"));
    const Fingerprint* nearest = nullptr;
    for (const Fingerprint& local : context.local) {
        if (local == found) return {};
        // States of engines of older versions say nothing about the settings that are in use.
        const bool current = local.value("llama_version") == here.value("llama_version") &&
                             local.value("format") == here.value("format");
        if (current && local.value("weights") == weights) nearest = &local;
    }
    if (nearest != nullptr) {
        return fmt::format("these artifacts were made with other settings than the model runs with here: {}",
                           fmt::join(artifact::differences(found, *nearest), "; "));
    }
    if (context.model_of(weights, std::string(found.value("architecture"))).empty()) {
        return fmt::format(
            "these artifacts belong to another model: architecture {}, weights {}..., which no model here has",
            found.value("architecture"), weights.substr(0, 16));
    }
    return {};
}

void add_cache_file_commands(CLI::App& parent, Flags& setting_flags, std::function<int()>& action) {
    const auto there = parent.get_subcommands([](CLI::App* app) { return app->get_name() == "cache"; });
    CLI::App* cache = there.empty() ? parent.add_subcommand("cache", "See and manage what is kept") : there.front();
    cache->require_subcommand(1);

    const auto add = [&](const char* name, const char* help, const char* what,
                         int (*run)(const std::string&, const Flags&)) {
        CLI::App* app = cache->add_subcommand(name, help);
        const auto file = std::make_shared<std::string>();
        app->add_option("FILE", *file, what)->required()->type_name("");
        add_setting_flags(*app, setting_flags);
        app->callback([&action, &setting_flags, file, run] {
            action = [&setting_flags, file, run] { return run(*file, setting_flags); };
        });
    };
    add("export",
        "Write cache artifacts to one file, to be imported on another machine; --model NAME: only those of this model",
        "The file to write", export_file);
    add("import", "Add the cache artifacts of a file that export wrote", "The file to read", import_file);
}

}  // namespace sutazai::cli
