#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"

/// Files under their digests: what makes one, and what keeps one. Blocks on the disk; any thread, one at a time for
/// each object.
namespace sutazai::store {

/// Told of bytes as they are worked off; false ends the work, with kCancelled.
using Advance = std::function<bool(std::uint64_t more_bytes)>;

/// As long as this lives, no removal takes the blob, in this process or another one.
class BlobHold {
  public:
    /// Nothing when there is no such file (any more).
    [[nodiscard]] static std::optional<BlobHold> take(const std::filesystem::path& blob);
    /// Of a file that this process holds the lock of.
    explicit BlobHold(File file) : file_(std::move(file)) {}

    [[nodiscard]] const File& file() const { return file_; }
    [[nodiscard]] std::uint64_t bytes() const;

  private:
    File file_;  // with a shared flock
};

/// A blob that is in the store.
struct StoredBlob {
    Digest digest{};
    std::uint64_t bytes = 0;
    BlobHold hold;
};

/// A blob in the making: a temporary file beside the blobs, gone unless it is committed. The sum is made on the way.
/// Errors of the disk (full, not allowed) are kUnavailable and name the folder.
class BlobWriter {
  public:
    /// `blobs` is there.
    [[nodiscard]] static Result<BlobWriter> create(const std::filesystem::path& blobs);

    [[nodiscard]] Result<void> add(Bytes bytes);
    [[nodiscard]] Result<void> add(std::string_view text) { return add(std::as_bytes(std::span(text))); }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

    /// For another process that writes in place of add(), and take_file() when it has: sums what there is.
    [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
    [[nodiscard]] Result<void> take_file(const Advance& advance);

    /// Durably under the digest that came out, once. kInvalidArgument when another one is `wanted`.
    [[nodiscard]] Result<StoredBlob> commit(const std::optional<Digest>& wanted = {});

  private:
    BlobWriter(std::filesystem::path blobs, TempFile file) : blobs_(std::move(blobs)), file_(std::move(file)) {}

    std::filesystem::path blobs_;
    TempFile file_;
    Sha256 sum_;
    std::uint64_t bytes_ = 0;
};

/// <blobs>/sha256-<64 hex digits>
[[nodiscard]] std::filesystem::path blob_path(const std::filesystem::path& blobs, const Digest& digest);

/// Gives a file its blob's name, unless one of that size has it already: who holds that one holds the name. False then.
[[nodiscard]] Result<bool> name_blob(const std::filesystem::path& file, const std::filesystem::path& blob,
                                     std::uint64_t bytes);

/// The sum over a whole file.
[[nodiscard]] Result<Digest> digest_of(const File& file, const Advance& advance = {});

/// Adds the whole file.
[[nodiscard]] Result<void> add_file(BlobWriter& writer, const File& file, const Advance& advance = {});

/// Names in a folder of blobs that begin so belong to files in the making.
inline constexpr std::string_view kTemporaryPrefix = "tmp-";

/// Removes what dead processes left in the making, and parts of downloads that nobody has touched for a week.
void prune_unfinished(const std::filesystem::path& blobs);

/// For people: which folder could not be written to and why. Never kNotFound.
[[nodiscard]] Error cannot_write(const std::filesystem::path& folder, const Error& why);

}  // namespace sutazai::store
