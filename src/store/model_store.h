#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "catalog/ollama_name.h"
#include "store/blob.h"
#include "store/manifest.h"

namespace sutazai::store {

/// A folder in Ollama's layout (manifests/<host>/<namespace>/<model>/<tag>, blobs/sha256-<hex>) that models are written
/// to and removed from (docs/decisions/0031-a-store-of-its-own.md). Names never lead out of it: of names every part is
/// validated, of blobs there is only the digest.
///
/// Several processes may use it at once. A model is there when its manifest is, which is written last; whatever ends a
/// process in the middle leaves only files that later writers clear away. Holds everything on the disk, so it may be
/// copied about; blocks on it; any thread.
class ModelStore {
  public:
    /// `root` need not exist: the first write makes it, for its owner alone.
    explicit ModelStore(std::filesystem::path root) : root_(std::move(root)) {}

    [[nodiscard]] const std::filesystem::path& root() const { return root_; }
    [[nodiscard]] std::filesystem::path blobs() const { return root_ / "blobs"; }
    [[nodiscard]] std::filesystem::path blob_path(const Digest& digest) const;

    [[nodiscard]] bool has_blob(const Digest& digest, std::optional<std::uint64_t> bytes = {}) const;
    /// Nothing when it is not there.
    [[nodiscard]] std::optional<BlobHold> hold(const Digest& digest) const { return BlobHold::take(blob_path(digest)); }

    /// Makes the folders if need be, and clears away what dead writers left. kUnavailable when that cannot be.
    [[nodiscard]] Result<void> prepare() const;
    /// A new one, to be filled.
    [[nodiscard]] Result<BlobWriter> new_blob() const;
    /// A finished file beside the blobs becomes the blob. It has been verified; it is synced and renamed here.
    [[nodiscard]] Result<void> take_partial(const std::filesystem::path& path, const Digest& digest) const;
    /// The blob of that digest out of another store: a second name for the same file where the disk allows it, else a
    /// copy, which is verified. At once when it is here.
    [[nodiscard]] Result<StoredBlob> adopt_blob(const Digest& digest, const std::filesystem::path& from,
                                                const Advance& advance = {}) const;

    /// To the byte; kNotFound when there is no such model here. Names differ in nothing but their letters' case are
    /// one.
    [[nodiscard]] Result<std::string> read_manifest(const catalog::OllamaName& name) const;
    /// The model is there from now on, or another one under its name: what only the one before it named goes. To the
    /// byte. kInvalidArgument for what is no manifest, kNotFound with the digest when a blob that it names is not here
    /// whole.
    [[nodiscard]] Result<void> write_manifest(const catalog::OllamaName& name, std::string_view text) const;
    /// The model, folders that are empty then, and blobs that no other model names. kNotFound when it is not here.
    [[nodiscard]] Result<void> remove(const catalog::OllamaName& name) const;
    /// Both here; what was `to` is replaced.
    [[nodiscard]] Result<void> copy(const catalog::OllamaName& from, const catalog::OllamaName& to) const;

  private:
    struct Place;
    [[nodiscard]] Place place_of(const catalog::OllamaName& name) const;
    [[nodiscard]] Result<void> write_under_lock(const Place& place, std::string_view text) const;
    void remove_unnamed(const std::set<Digest>& candidates) const;
    [[nodiscard]] std::optional<std::set<Digest>> named_blobs() const;

    std::filesystem::path root_;
};

}  // namespace sutazai::store
