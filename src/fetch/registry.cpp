#include "fetch/registry.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <utility>

#include "fetch/ranges.h"

namespace sutazai::fetch {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
/// One request of an upload. What a cut costs is at most what the registry had not taken of it.
constexpr std::uint64_t kUploadBytes = 64ULL << 20;
/// Registries read a whole blob again before they say that it is there.
constexpr milliseconds kDigestPatience{600'000};

std::unexpected<Error> refuse(const HttpResponse& response, std::string_view what) {
    ErrorCode code = ErrorCode::kUnavailable;
    if (response.status == 401 || response.status == 403) code = ErrorCode::kForbidden;
    return fail(code, fmt::format("{}: {} answers with {}", what, response.url.authority(), describe(response)));
}

}  // namespace

Registry::Registry(Client& client, Url base, const catalog::OllamaName& name)
    : client_(client),
      base_(std::move(base)),
      name_(name),
      repository_(fmt::format("/v2/{}/{}", name.name_space, name.model)) {}

Url Registry::at(std::string path) const {
    Url url = base_;
    url.path = std::move(path);
    url.query.clear();
    return url;
}

Url Registry::blob_url(const Digest& digest) const {
    return at(fmt::format("{}/blobs/{}", repository_, store::to_text(digest)));
}

Result<std::string> Registry::get_manifest() {
    HttpRequest request{.url = at(fmt::format("{}/manifests/{}", repository_, name_.tag)),
                        .headers = {fmt::format("Accept: {}, {}", store::kManifestType, kOciManifestType)},
                        .most_bytes = store::kMostManifestBytes};
    auto response = client_.send(request);
    if (!response) return std::unexpected(std::move(response.error()));
    if (response->status == 404) {
        return fail(ErrorCode::kNotFound, fmt::format("{} has no model {}", base_.authority(), name_.shortest()),
                    "model");
    }
    if (response->status != 200) return refuse(*response, "the manifest cannot be had");
    const std::string promised = response->header("docker-content-digest");
    const auto digest = store::parse_digest(promised);
    if (digest && *digest != sha256(std::as_bytes(std::span(response->body)))) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("{} sent another manifest than it said", response->url.authority()));
    }
    return std::move(response->body);
}

Result<bool> Registry::has_blob(const Digest& digest) {
    const auto response = client_.send({.method = "HEAD", .url = blob_url(digest)});
    if (!response) return std::unexpected(response.error());
    if (response->status == 200) return true;
    if (response->status == 404) return false;
    return refuse(*response, "a blob cannot be asked for");
}

Result<Url> Registry::next_place(const HttpResponse& response) const {
    auto place = resolve_url(response.url, response.header("location"));
    if (!place) return fail(ErrorCode::kUnavailable, fmt::format("{} names no place to upload to", base_.authority()));
    if (!place->has_origin_of(base_)) {
        if (auto checked = client_.access().check_redirect(base_, *place); !checked) {
            return std::unexpected(std::move(checked.error()));
        }
    }
    return place;
}

Result<Url> Registry::begin_upload() {
    const auto response = client_.send({.method = "POST", .url = at(repository_ + "/blobs/uploads/")});
    if (!response) return std::unexpected(response.error());
    if (response->status != 202) return refuse(*response, "the upload cannot begin");
    return next_place(*response);
}

Result<Registry::Standing> Registry::ask_standing(const Url& place) {
    const auto response = client_.send({.url = place});
    if (!response) return std::unexpected(response.error());
    if (response->status != 204) return refuse(*response, "the upload cannot go on");
    auto next = next_place(*response);
    if (!next) return std::unexpected(std::move(next.error()));
    // "0-99"; for nothing at all it is "0-0".
    const std::string range = response->header("range");
    const auto dash = range.find('-');
    std::uint64_t last = 0;
    if (dash == std::string::npos ||
        std::from_chars(range.data() + dash + 1, range.data() + range.size(), last).ec != std::errc()) {
        return fail(ErrorCode::kUnavailable, fmt::format("{} does not say where the upload stands", base_.authority()));
    }
    return Standing{std::move(*next), last == 0 ? 0 : last + 1};
}

Result<void> Registry::put_blob(const store::Layer& blob, const File& file,
                                const std::function<void(std::uint64_t completed)>& on_bytes) {
    auto place = begin_upload();
    if (!place) return std::unexpected(std::move(place.error()));
    const Patience& patience = client_.patience();
    int tries = 0;
    bool renewed = false;
    for (std::uint64_t at = 0; at < blob.bytes;) {
        const std::uint64_t length = std::min(kUploadBytes, blob.bytes - at);
        bool is_unreadable = false;
        HttpRequest request{.method = "PATCH",
                            .url = *place,
                            .headers = {"Content-Type: application/octet-stream",
                                        fmt::format("Content-Range: {}-{}", at, at + length - 1)},
                            .upload_bytes = length};
        request.upload = [&](std::uint64_t offset, char* buffer, std::size_t size) -> std::size_t {
            const auto want = std::min<std::uint64_t>(size, length - offset);
            const auto got =
                ::pread(file.fd(), buffer, static_cast<std::size_t>(want), static_cast<off_t>(at + offset));
            is_unreadable = got < 0 || static_cast<std::uint64_t>(got) != want;
            on_bytes(at + offset);
            return is_unreadable ? HttpRequest::kNoMore : static_cast<std::size_t>(got);
        };
        const auto response = client_.send(request);
        if (is_unreadable)
            return fail(ErrorCode::kUnavailable, "the blob " + store::to_text(blob.digest) + " cannot be read");
        if (response && response->status == 202) {
            auto next = next_place(*response);
            if (!next) return std::unexpected(std::move(next.error()));
            place = std::move(next);
            at += length;
            on_bytes(at);
            tries = 0;
            renewed = false;
            continue;
        }
        // A token may have grown old meanwhile; send() has got another one then, and is told no again only once.
        const bool is_old = response && response->status == 401 && !std::exchange(renewed, true);
        const bool may_pass =
            is_old || (response ? is_passing(response->status) : response.error().code == ErrorCode::kUnavailable);
        if (!may_pass || ++tries >= patience.tries) {
            if (!response) return std::unexpected(response.error());
            return refuse(*response, "the upload was not taken");
        }
        spdlog::info("push: the upload was cut; another try");
        if (!pause(client_.stop(), patience.first_pause * (1 << (tries - 1)))) return cancelled();
        auto standing = ask_standing(*place);
        if (!standing || standing->bytes > at + length) {
            auto anew = begin_upload();
            if (!anew) return std::unexpected(std::move(anew.error()));
            standing = Standing{std::move(*anew), 0};
        }
        place = std::move(standing->place);
        at = standing->bytes;
    }
    place->query += (place->query.empty() ? "digest=" : "&digest=") + store::to_text(blob.digest);
    const auto response = client_.send({.method = "PUT",
                                        .url = *place,
                                        .headers = {"Content-Type: application/octet-stream"},
                                        .stall = kDigestPatience});
    if (!response) return std::unexpected(response.error());
    if (response->status == 201) return {};
    // The answer to an earlier try may have been lost.
    if (const auto there = has_blob(blob.digest); there && *there) return {};
    return refuse(*response, "the upload was not taken");
}

Result<void> Registry::put_manifest(const std::string& text, const std::string& media_type) {
    const auto response = client_.send({.method = "PUT",
                                        .url = at(fmt::format("{}/manifests/{}", repository_, name_.tag)),
                                        .headers = {"Content-Type: " + media_type},
                                        .body = text});
    if (!response) return std::unexpected(response.error());
    if (!response->is_success()) return refuse(*response, "the manifest was not taken");
    return {};
}

}  // namespace sutazai::fetch
