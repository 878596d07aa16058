#include "fetch/download.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <string>
#include <utility>

#include "fetch/lanes.h"
#include "fetch/places.h"

namespace sutazai::fetch {
namespace {

/// A file on a server that changes under our hands is given up after so many beginnings.
constexpr int kMostBeginnings = 3;

/// What the server says of a file whose size is not known.
struct Found {
    std::uint64_t size = 0;
    std::string validator;
    bool ranges = false;
};

Result<Found> look(Client& client, const Url& url) {
    HttpRequest request{.url = url, .headers = {"Range: bytes=0-0"}, .drop_body = true};
    const auto response = client.send(request);
    if (!response) return std::unexpected(response.error());
    if (!response->is_success()) {
        const ErrorCode code = response->status == 404 ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
        return fail(code, fmt::format("{}: {}", response->url.authority(), describe(*response)));
    }
    Found found;
    const std::string etag = response->header("etag");
    found.validator = !etag.empty() && !etag.starts_with("W/") ? etag : response->header("last-modified");
    if (const auto range = parse_content_range(response->header("content-range")); range && response->status == 206) {
        found.size = range->size;
        // Parts of different versions must not be put together.
        found.ranges = !found.validator.empty();
    } else {
        const std::string length = response->header("content-length");
        std::from_chars(length.data(), length.data() + length.size(), found.size);
    }
    if (found.size == 0) {
        return fail(ErrorCode::kUnavailable, fmt::format("{} does not say how large {} is, or it is empty",
                                                         response->url.authority(), url.path));
    }
    return found;
}

/// Everything into `file`. False when the server has another file by now.
Result<bool> fill(Client& client, const Wanted& wanted, PartialFile& file, const Found& found,
                  const OnBytes& on_bytes) {
    for (bool ranges = found.ranges;;) {
        Lanes lanes(client, wanted, file, found.validator);
        const auto end = lanes.run(ranges, on_bytes);
        if (!end) return std::unexpected(end.error());
        if (*end == Lanes::End::kWhole) return true;
        if (auto done = file.start_over(); !done) return std::unexpected(std::move(done.error()));
        if (*end == Lanes::End::kChanged) return false;
        spdlog::info("download: {} gives no ranges; all in one stream from the beginning", wanted.url.authority());
        ranges = false;
    }
}

}  // namespace

Result<std::optional<Downloaded>> download(Client& client, const Wanted& wanted, const std::function<bool()>& is_there,
                                           const OnBytes& on_bytes) {
    File held;
    for (int beginnings = 1;; ++beginnings) {
        Found found{wanted.size, {}, true};
        if (wanted.size == 0) {
            auto looked = look(client, wanted.url);
            if (!looked) return std::unexpected(std::move(looked.error()));
            found = std::move(*looked);
        }
        if (!held.is_open()) {
            auto locked = PartialFile::lock(wanted.partial, is_there, on_bytes, client.stop());
            if (!locked) return std::unexpected(std::move(locked.error()));
            if (!*locked) return std::nullopt;
            held = std::move(**locked);
        }
        PartialFile file(wanted.partial, std::move(held), found.size, found.validator, client.stop());
        if (auto room = check_free_disk(wanted.partial.parent_path(), found.size - file.completed()); !room) {
            return std::unexpected(std::move(room.error()));
        }
        on_bytes(file.completed(), found.size);
        const std::uint64_t resumed = file.resumed_bytes();
        const auto filled = fill(client, wanted, file, found, on_bytes);
        if (!filled) return std::unexpected(filled.error());
        if (*filled) {
            const auto digest = file.digest();
            if (!digest) return std::unexpected(digest.error());
            if (!wanted.digest || *digest == *wanted.digest) {
                return Downloaded{*digest, found.size, wanted.partial, file.take()};
            }
            // Perhaps what an earlier download left was wrong: once more, all of it.
            if (resumed == 0 || beginnings >= kMostBeginnings) {
                file.discard();
                return fail(ErrorCode::kUnavailable,
                            fmt::format("what {} sent for sha256:{} has another digest, {}; it was removed",
                                        wanted.url.authority(), to_hex(*wanted.digest), to_hex(*digest)));
            }
            spdlog::warn("download: the parts of sha256:{} do not fit together; all of it again",
                         to_hex(*wanted.digest));
            if (auto done = file.start_over(); !done) return std::unexpected(std::move(done.error()));
        } else if (beginnings >= kMostBeginnings) {
            return fail(ErrorCode::kUnavailable, fmt::format("{} changes while it is downloaded", wanted.url.shown()));
        } else {
            spdlog::info("download: {} has changed; from the beginning", wanted.url.shown());
        }
        held = file.take();
    }
}

}  // namespace sutazai::fetch
