#include "store/model_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/byte_text.h"
#include "base/files.h"
#include "base/small_file.h"

namespace sutazai::store {

namespace fs = std::filesystem;

namespace {

/// Of another process, which writes a manifest or removes files meanwhile.
constexpr int kLockPatienceMs = 20'000;
/// A blob that no model names has so long to come to be named: it may have been sent for a model that is yet to be
/// made.
constexpr std::chrono::hours kUnnamedKept{7 * 24};
/// The catalogue passes over names that begin with a dot.
constexpr std::string_view kHiddenPrefix = ".tmp-";

/// Removed, unless somebody holds it.
void remove_blob(const fs::path& path) {
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.is_open() && flock(file.fd(), LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
}

/// The entry of a folder that is called so, in whatever case; as it is given when there is none.
std::string spelling_in(const fs::path& folder, const std::string& wanted) {
    std::error_code error;
    if (fs::exists(folder / wanted, error)) return wanted;
    const std::string small = catalog::in_small_letters(wanted);
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        std::string name = entry->path().filename().string();
        if (catalog::in_small_letters(name) == small) return name;
    }
    return wanted;
}

Result<FolderLock*> held(FolderLock& lock, const fs::path& root) {
    if (lock.held()) return &lock;
    return fail(ErrorCode::kUnavailable,
                lock.exists() ? fmt::format("another process has held the model store {} for long", root.string())
                              : fmt::format("the model store {} cannot be written to", root.string()));
}

bool is_folder(const fs::path& path) {
    std::error_code error;
    return fs::is_directory(path, error);
}

}  // namespace

/// Where a model's manifest is or would be.
struct ModelStore::Place {
    fs::path path;
    std::string name;  ///< for people
};

ModelStore::Place ModelStore::place_of(const catalog::OllamaName& name) const {
    fs::path path = root_ / "manifests";
    for (const std::string& part : {name.host, name.name_space, name.model, name.tag}) path /= spelling_in(path, part);
    return {std::move(path), name.shortest()};
}

fs::path ModelStore::blob_path(const Digest& digest) const {
    return store::blob_path(blobs(), digest);
}

bool ModelStore::has_blob(const Digest& digest, std::optional<std::uint64_t> bytes) const {
    struct stat status {};
    if (stat(blob_path(digest).c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    return !bytes || static_cast<std::uint64_t>(status.st_size) == *bytes;
}

Result<void> ModelStore::prepare() const {
    constexpr mode_t kShared = 0755;  // what is below the root is as open as the root
    if (!is_folder(root_)) {
        if (auto made = make_folder(root_); !made) return std::unexpected(cannot_write(root_, made.error()));
    }
    for (const fs::path& folder : {blobs(), root_ / "manifests"}) {
        if (auto made = make_folder(folder, kShared); !made) return std::unexpected(cannot_write(root_, made.error()));
    }
    return {};
}

Result<BlobWriter> ModelStore::new_blob() const {
    if (auto ready = prepare(); !ready) return std::unexpected(ready.error());
    prune_unfinished(blobs());
    return BlobWriter::create(blobs());
}

Result<void> ModelStore::take_partial(const fs::path& path, const Digest& digest) const {
    {
        const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!file.is_open()) return std::unexpected(disk_error(path.string() + " cannot be opened", errno));
        // As open as the other blobs; the folder decides who sees them.
        const bool done = fchmod(file.fd(), 0644) == 0 && fsync(file.fd()) == 0;
        if (!done) return std::unexpected(cannot_write(root_, disk_error(path.string(), errno)));
    }
    const auto status = file_status(path);
    const auto named = name_blob(path, blob_path(digest), status ? static_cast<std::uint64_t>(status->st_size) : 0);
    if (!named) return std::unexpected(cannot_write(root_, named.error()));
    if (!*named) unlink(path.c_str());
    sync_folder(blobs());
    return {};
}

Result<StoredBlob> ModelStore::adopt_blob(const Digest& digest, const fs::path& from, const Advance& advance) const {
    if (auto ready = prepare(); !ready) return std::unexpected(ready.error());
    struct stat status {};
    if (stat(from.c_str(), &status) != 0) return std::unexpected(disk_error(from.string(), errno));
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    if (auto there = hold(digest); there && there->bytes() == bytes) {
        if (advance && !advance(bytes)) return fail(ErrorCode::kCancelled, "cancelled");
        return StoredBlob{digest, bytes, std::move(*there)};
    }
    const fs::path aside = blobs() / fmt::format("{}{}.link.{}", kTemporaryPrefix, getpid(), to_hex(Bytes(digest)));
    const bool linked = linkat(AT_FDCWD, from.c_str(), AT_FDCWD, aside.c_str(), AT_SYMLINK_FOLLOW) == 0 &&
                        name_blob(aside, blob_path(digest), bytes).has_value();
    unlink(aside.c_str());  // also left when it has the name already
    if (linked) {
        sync_folder(blobs());
        if (auto there = hold(digest); there && there->bytes() == bytes) {
            if (advance && !advance(bytes)) return fail(ErrorCode::kCancelled, "cancelled");
            return StoredBlob{digest, bytes, std::move(*there)};
        }
    }
    const File file(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open()) return std::unexpected(disk_error(from.string() + " cannot be opened", errno));
    auto writer = new_blob();
    if (!writer) return std::unexpected(writer.error());
    if (auto copied = add_file(*writer, file, advance); !copied) return std::unexpected(copied.error());
    auto stored = writer->commit(digest);
    if (!stored && stored.error().code == ErrorCode::kInvalidArgument) {
        stored.error() = {ErrorCode::kLoadFailed,
                          fmt::format("{} is damaged: {}", from.string(), stored.error().message)};
    }
    return stored;
}

Result<std::string> ModelStore::read_manifest(const catalog::OllamaName& name) const {
    const Place place = place_of(name);
    auto text = read_small_file(place.path.string(), kMostManifestBytes);
    if (text) return text;
    if (text.error().code == ErrorCode::kNotFound) {
        return fail(ErrorCode::kNotFound, fmt::format("model \"{}\" not found", place.name), "model");
    }
    return fail(ErrorCode::kUnavailable, fmt::format("{} {}", place.path.string(), text.error().message));
}

Result<void> ModelStore::write_manifest(const catalog::OllamaName& name, std::string_view text) const {
    if (auto ready = prepare(); !ready) return ready;
    FolderLock lock(root_ / "lock", FolderLock::Mode::kExclusive, kLockPatienceMs);
    if (auto locked = held(lock, root_); !locked) return std::unexpected(locked.error());
    return write_under_lock(place_of(name), text);
}

Result<void> ModelStore::write_under_lock(const Place& place, std::string_view text) const {
    const auto manifest = parse_manifest(text);
    if (!manifest) return std::unexpected(manifest.error());
    for (const Layer& blob : manifest->blobs()) {
        if (has_blob(blob.digest, blob.bytes)) continue;
        return fail(ErrorCode::kNotFound, fmt::format("the blob {} of {} is not in the store with its {}",
                                                      to_text(blob.digest), place.name, byte_text(blob.bytes)));
    }
    const auto before = read_small_file(place.path.string(), kMostManifestBytes);
    const fs::path manifests = root_ / "manifests";
    if (auto made = make_folder(place.path.parent_path(), 0755); !made) {
        return std::unexpected(cannot_write(root_, made.error()));
    }
    auto file = TempFile::create(manifests, kHiddenPrefix, 0644);
    Result<void> done = file ? write_all(file->file(), std::as_bytes(std::span(text))) : std::unexpected(file.error());
    if (done) done = file->sync();
    if (done) done = file->commit(place.path);
    if (!done) return std::unexpected(cannot_write(root_, done.error()));
    sync_folder(place.path.parent_path());
    if (before && *before != text) {
        if (const auto replaced = digests_in(*before)) remove_unnamed(*replaced);
    }
    return {};
}

Result<void> ModelStore::remove(const catalog::OllamaName& name) const {
    if (!is_folder(root_)) {
        return fail(ErrorCode::kNotFound, fmt::format("model \"{}\" not found", name.shortest()), "model");
    }
    FolderLock lock(root_ / "lock", FolderLock::Mode::kExclusive, kLockPatienceMs);
    if (auto locked = held(lock, root_); !locked) return std::unexpected(locked.error());
    const Place place = place_of(name);
    const auto text = read_small_file(place.path.string(), kMostManifestBytes);
    if (unlink(place.path.c_str()) != 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) {
            return fail(ErrorCode::kNotFound, fmt::format("model \"{}\" not found", place.name), "model");
        }
        return std::unexpected(cannot_write(root_, disk_error(place.path.string(), errno)));
    }
    fs::path folder = place.path.parent_path();
    sync_folder(folder);
    for (int depth = 0; depth < 3 && rmdir(folder.c_str()) == 0; ++depth) folder = folder.parent_path();
    remove_unnamed(text ? digests_in(*text).value_or(std::set<Digest>()) : std::set<Digest>());
    return {};
}

Result<void> ModelStore::copy(const catalog::OllamaName& from, const catalog::OllamaName& to) const {
    if (auto ready = prepare(); !ready) return ready;
    FolderLock lock(root_ / "lock", FolderLock::Mode::kExclusive, kLockPatienceMs);
    if (auto locked = held(lock, root_); !locked) return std::unexpected(locked.error());
    const auto text = read_manifest(from);
    if (!text) return std::unexpected(text.error());
    return write_under_lock(place_of(to), *text);
}

std::optional<std::set<Digest>> ModelStore::named_blobs() const {
    std::set<Digest> named;
    std::error_code error;
    fs::recursive_directory_iterator entry(root_ / "manifests", error);
    for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
        std::error_code no_type;
        constexpr int kTagDepth = 3;  // below host, namespace and model; elsewhere no manifest can be
        if (entry.depth() != kTagDepth || entry->is_directory(no_type)) continue;
        if (entry->path().filename().native().starts_with('.')) continue;
        const auto text = read_small_file(entry->path().string(), kMostManifestBytes);
        auto digests = text ? digests_in(*text) : std::nullopt;
        if (!digests) return std::nullopt;
        named.merge(*digests);
    }
    return error ? std::nullopt : std::optional(std::move(named));
}

/// Those of `candidates`, and what has been there for long without a model. When a manifest cannot be read, nobody
/// knows what it names, and everything stays.
void ModelStore::remove_unnamed(const std::set<Digest>& candidates) const {
    const auto named = named_blobs();
    if (!named) return;
    for (const Digest& digest : candidates) {
        if (!named->contains(digest)) remove_blob(blob_path(digest));
    }
    std::error_code error;
    for (fs::directory_iterator entry(blobs(), error), end; !error && entry != end; entry.increment(error)) {
        const auto digest = parse_digest(entry->path().filename().native());
        if (!digest || named->contains(*digest)) continue;
        // When it got this name, not when it was written: it may have come from another store.
        const auto status = file_status(entry->path());
        if (!status || std::time(nullptr) - status->st_ctim.tv_sec < std::chrono::seconds(kUnnamedKept).count())
            continue;
        remove_blob(entry->path());
    }
    sync_folder(blobs());
}

}  // namespace sutazai::store
