#include "fetch/pull.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "base/byte_text.h"
#include "base/json_text.h"
#include "catalog/gguf_file.h"
#include "fetch/download.h"
#include "fetch/hf_tree.h"
#include "fetch/places.h"
#include "fetch/registry.h"
#include "fetch/source.h"

namespace sutazai::fetch {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kShownDigits = 12;
constexpr std::size_t kMostConfigBytes = 1 << 20;
constexpr std::size_t kMostListBytes = 16 << 20;
constexpr int kMostPages = 20;

std::string pulling(const Digest& digest) {
    return "pulling " + to_hex(digest).substr(0, kShownDigits);
}

/// The next page of a list, as a Link header tells it: <url>; rel="next".
std::optional<Url> next_page(const HttpResponse& response) {
    const std::string link = response.header("link");
    const auto end = link.find('>');
    if (!link.starts_with('<') || end == std::string::npos || link.find("rel=\"next\"", end) == std::string::npos) {
        return std::nullopt;
    }
    const auto url = resolve_url(response.url, link.substr(1, end - 1));
    return url && url->has_origin_of(response.url) ? std::optional(*url) : std::nullopt;
}

/// For a path in a URL.
std::string escaped_path(const std::string& path) {
    std::string out;
    for (const char c : path) {
        const bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                              std::string_view("-._~/").find(c) != std::string_view::npos;
        if (is_plain) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

class Puller {
  public:
    Puller(const Options& options, const Access& access, const std::stop_token& stop, const ProgressSink& tell)
        : options_(options), client_(access, options.patience, stop), tell_(tell), store_(options.store) {}

    Result<void> run(const Source& source, const Url& base) {
        tell_({"pulling manifest"});
        if (auto checked = client_.access().check_start(base); !checked) return checked;
        if (auto ready = store_.prepare(); !ready) return ready;
        switch (source.kind) {
            case Source::Kind::kRegistry: return pull_name(source, base);
            case Source::Kind::kHuggingFace: return pull_repository(source, base);
            case Source::Kind::kFile: return pull_file(source);
        }
        return {};
    }

  private:
    Result<void> pull_name(const Source& source, const Url& base) {
        Registry registry(client_, base, source.name);
        const auto text = registry.get_manifest();
        if (!text) return std::unexpected(text.error());
        const auto manifest = store::parse_manifest(*text);
        if (!manifest) {
            return fail(ErrorCode::kUnavailable,
                        fmt::format("{}: {}", source.name.shortest(), manifest.error().message));
        }
        if (auto usable = check_usable(source, *manifest); !usable) return usable;
        if (auto room = check_room(*manifest); !room) return room;
        const store::Layer* const model = manifest->find("model");
        for (const store::Layer& blob : in_order(*manifest)) {
            const bool is_model = blob.digest == model->digest;
            auto got = get_blob(blob, is_model, registry.blob_url(blob.digest));
            if (!got) return got;
            const bool is_config = manifest->config && blob.digest == manifest->config->digest;
            if (auto usable = is_config ? check_config(source, blob) : Result<void>(); !usable) return usable;
        }
        return finish(source, *text);
    }

    Result<void> pull_repository(const Source& source, const Url& base) {
        const std::string repository = source.name.name_space + "/" + source.name.model;
        std::vector<HfFile> files;
        std::optional<Url> page = base;
        page->path = fmt::format("/api/models/{}/tree/main", repository);
        page->query = "recursive=true";
        for (int n = 0; page && n < kMostPages; ++n) {
            const auto response = client_.send({.url = *page, .most_bytes = kMostListBytes});
            if (!response) return std::unexpected(response.error());
            // Which it also says to those who may not see a repository.
            if (response->status == 404 || response->status == 401) {
                return fail(ErrorCode::kNotFound,
                            fmt::format("{} has no repository {}, or HF_TOKEN does not open it",
                                        response->url.authority(), repository),
                            "model");
            }
            if (response->status != 200) {
                return fail(ErrorCode::kUnavailable,
                            fmt::format("{}: {}", response->url.authority(), describe(*response)));
            }
            auto list = parse_hf_tree(response->body);
            if (!list) {
                return fail(ErrorCode::kUnavailable,
                            fmt::format("{}: {}", response->url.authority(), list.error().message));
            }
            files.insert(files.end(), list->begin(), list->end());
            page = next_page(*response);
        }
        auto file = choose_hf_file(repository, files, source.has_tag ? source.name.tag : "");
        if (!file) return std::unexpected(std::move(file.error()));
        Url url = base;
        url.path = fmt::format("/{}/resolve/main/{}", repository, escaped_path(file->path));
        if (!file->digest || file->bytes == 0) return pull_unknown(source, url);
        const store::Layer layer{std::string(store::kLayerTypePrefix) + "model", *file->digest, file->bytes};
        store::Manifest manifest;
        manifest.layers.push_back(layer);
        if (auto room = check_room(manifest); !room) return room;
        if (auto got = get_blob(layer, true, url); !got) return got;
        return finish_file(source, layer);
    }

    Result<void> pull_file(const Source& source) { return pull_unknown(source, source.url); }

    /// A file of which neither size nor digest is known.
    Result<void> pull_unknown(const Source& source, const Url& url) {
        const std::string what = "pulling " + url.path.substr(url.path.rfind('/') + 1);
        const std::string text = url.text();
        const Digest place = sha256(std::as_bytes(std::span(text)));
        const Wanted wanted{.url = url, .partial = partial_of(place), .connections = options_.connections};
        tell_({what});
        auto got = download(
            client_, wanted, [] { return false; },
            [&](std::uint64_t completed, std::uint64_t total) {
                tell_({what, {}, total, completed});
            });
        if (!got) return std::unexpected(got.error());
        const store::Layer layer{std::string(store::kLayerTypePrefix) + "model", (*got)->digest, (*got)->size};
        if (auto taken = take(std::move(**got), true); !taken) return taken;
        return finish_file(source, layer);
    }

    /// Small ones first, among them the config, which says whether the model can be used at all.
    static std::vector<store::Layer> in_order(const store::Manifest& manifest) {
        auto blobs = manifest.blobs();
        std::ranges::stable_sort(blobs, {}, [&](const store::Layer& blob) {
            return !manifest.config || blob.digest != manifest.config->digest;
        });
        return blobs;
    }

    static Result<void> check_usable(const Source& source, const store::Manifest& manifest) {
        for (const store::Layer& layer : manifest.layers) {
            if (layer.media_type == std::string(store::kLayerTypePrefix) + "tensor") {
                return fail(
                    ErrorCode::kInvalidArgument,
                    fmt::format("{} is made of safetensors, which this server does not read; it reads GGUF models",
                                source.name.shortest()),
                    "model");
            }
        }
        if (manifest.find("model") == nullptr) {
            return fail(
                ErrorCode::kInvalidArgument,
                fmt::format("{} is no model that this server can use: it has no GGUF file", source.name.shortest()),
                "model");
        }
        if (manifest.config && manifest.config->bytes > kMostConfigBytes) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("{} has a config of more than {} bytes", source.name.shortest(), kMostConfigBytes),
                        "model");
        }
        return {};
    }

    Result<void> check_config(const Source& source, const store::Layer& blob) const {
        const auto text = read_text(store_.blob_path(blob.digest), kMostConfigBytes);
        if (!text) return std::unexpected(text.error());
        boost::system::error_code error;
        const json::value parsed = json::parse(*text, error);
        const json::object* object = error ? nullptr : parsed.if_object();
        const json::value* format = object == nullptr ? nullptr : object->if_contains("model_format");
        if (format == nullptr || !format->is_string() || format->get_string().empty()) return {};
        if (format->get_string() == "gguf") return {};
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} has the format {}, which this server does not read; it reads GGUF models",
                                source.name.shortest(), std::string_view(format->get_string()).substr(0, 40)),
                    "model");
    }

    static Result<void> check_model(const fs::path& path) {
        const auto summary = catalog::read_gguf_summary(path.string());
        if (summary) return {};
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("what came is no usable model: {}", summary.error().message), "model");
    }

    /// For all that is missing, before the first byte of it.
    Result<void> check_room(const store::Manifest& manifest) const {
        std::uint64_t needed = 0;
        for (const store::Layer& blob : manifest.blobs()) {
            if (store_.has_blob(blob.digest, blob.bytes) || find_elsewhere(blob)) continue;
            const auto partial = file_status(partial_of(blob.digest));
            const std::uint64_t there = partial ? static_cast<std::uint64_t>(partial->st_blocks) * 512 : 0;
            needed += blob.bytes - std::min(blob.bytes, there);
        }
        return check_free_disk(store_.blobs(), needed);
    }

    fs::path partial_of(const Digest& digest) const { return store_.blob_path(digest).string() + "-partial"; }

    std::optional<fs::path> find_elsewhere(const store::Layer& blob) const {
        for (const fs::path& root : options_.other_stores) {
            const store::ModelStore other(root);
            if (other.has_blob(blob.digest, blob.bytes)) return other.blob_path(blob.digest);
        }
        return std::nullopt;
    }

    Result<void> get_blob(const store::Layer& blob, bool is_model, const Url& url) {
        const std::string what = pulling(blob.digest);
        const std::string digest = store::to_text(blob.digest);
        const auto tell = [&](std::uint64_t completed, std::uint64_t total) {
            tell_({what, digest, total, completed});
        };
        tell(0, blob.bytes);
        if (auto taken = take_from_disk(blob, tell); !taken || *taken) {
            if (!taken) return std::unexpected(std::move(taken.error()));
            return is_model ? check_model(store_.blob_path(blob.digest)) : Result<void>();
        }
        const Wanted wanted{.url = url,
                            .size = blob.bytes,
                            .digest = blob.digest,
                            .partial = partial_of(blob.digest),
                            .connections = options_.connections};
        auto got = download(
            client_, wanted, [&] { return store_.has_blob(blob.digest, blob.bytes); }, tell);
        if (!got) return std::unexpected(std::move(got.error()));
        if (*got) {
            if (auto taken = take(std::move(**got), is_model); !taken) return taken;
        } else if (auto held = store_.hold(blob.digest)) {
            holds_.push_back(std::move(*held));
        }
        tell(blob.bytes, blob.bytes);
        return {};
    }

    /// What was downloaded becomes a blob.
    Result<void> take(Downloaded file, bool is_model) {
        // Before it is there for others.
        if (auto valid = is_model ? check_model(file.path) : Result<void>(); !valid) {
            fs::remove(file.path);
            return valid;
        }
        auto held = store_.has_blob(file.digest, file.size) ? store_.hold(file.digest) : std::nullopt;
        if (held) {
            fs::remove(file.path);
            holds_.push_back(std::move(*held));
            return {};
        }
        if (auto taken = store_.take_partial(file.path, file.digest); !taken) return taken;
        // From the lock of a download to the one that keeps a blob, which may be another file of the same content.
        ::flock(file.file.fd(), LOCK_SH);
        if (auto named = store_.hold(file.digest)) holds_.push_back(std::move(*named));
        return {};
    }

    /// Is it here, or in a store beside this one?
    Result<bool> take_from_disk(const store::Layer& blob,
                                const std::function<void(std::uint64_t, std::uint64_t)>& tell) {
        if (store_.has_blob(blob.digest, blob.bytes)) {
            auto held = store_.hold(blob.digest);
            if (held) holds_.push_back(std::move(*held));
            tell(blob.bytes, blob.bytes);
            return held.has_value();
        }
        if (blob.bytes == 0) {
            auto writer = store_.new_blob();
            if (!writer) return std::unexpected(std::move(writer.error()));
            auto stored = writer->commit(blob.digest);
            if (!stored) return std::unexpected(std::move(stored.error()));
            holds_.push_back(std::move(stored->hold));
            return true;
        }
        const auto elsewhere = find_elsewhere(blob);
        if (!elsewhere) return false;
        std::uint64_t completed = 0;
        auto adopted = store_.adopt_blob(blob.digest, *elsewhere, [&](std::uint64_t more) {
            tell(completed += more, blob.bytes);
            return !client_.stop().stop_requested();
        });
        if (!adopted) {
            // What is wrong there is no reason not to download it.
            if (adopted.error().code == ErrorCode::kCancelled) return std::unexpected(std::move(adopted.error()));
            return false;
        }
        holds_.push_back(std::move(adopted->hold));
        tell(blob.bytes, blob.bytes);
        return true;
    }

    /// A manifest of our own around one file.
    Result<void> finish_file(const Source& source, const store::Layer& model) {
        const auto summary = catalog::read_gguf_summary(store_.blob_path(model.digest).string());
        if (!summary) return std::unexpected(summary.error());
        const std::string config = to_json(json::object{
            {"model_format", "gguf"},
            {"model_family", summary->architecture},
            {"model_families", json::array{summary->architecture}},
            {"file_type", summary->file_type ? catalog::file_type_name(*summary->file_type) : ""},
        });
        auto writer = store_.new_blob();
        if (!writer) return std::unexpected(std::move(writer.error()));
        if (auto added = writer->add(config); !added) return added;
        auto stored = writer->commit();
        if (!stored) return std::unexpected(std::move(stored.error()));
        store::Manifest manifest{.config = store::Layer{std::string(store::kConfigType), stored->digest, stored->bytes},
                                 .layers = {model}};
        holds_.push_back(std::move(stored->hold));
        return finish(source, manifest.encode());
    }

    Result<void> finish(const Source& source, const std::string& manifest) {
        tell_({"verifying sha256 digest"});  // it was, on the way
        tell_({"writing manifest"});
        if (client_.stop().stop_requested()) return cancelled();
        return store_.write_manifest(source.name, manifest);
    }

    const Options& options_;
    Client client_;
    const ProgressSink& tell_;
    const store::ModelStore store_;
    std::vector<store::BlobHold> holds_;  // until the manifest names them
};

}  // namespace

Result<void> pull(const Options& options, const Request& request, const std::stop_token& stop,
                  const ProgressSink& tell) {
    const auto source = parse_source(request.model, request.as);
    if (!source) return std::unexpected(source.error());
    Access access = options.access;
    access.insecure = request.insecure;
    auto base =
        source->kind == Source::Kind::kFile ? Result<Url>(source->url) : place_of(access, *source, Direction::kPull);
    if (!base) return std::unexpected(std::move(base.error()));
    if (request.typed) {
        access.named = base->authority();
        access.named_is_private = request.insecure;
    }
    return Puller(options, access, stop, tell).run(*source, *base);
}

}  // namespace sutazai::fetch
