#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>

#include "artifact/block.h"
#include "artifact/folder.h"
#include "base/error.h"
#include "base/files.h"

/// What this module asks of the disk. Blocks; any thread. Errors as in base/files.h.
namespace sutazai::artifact {

/// A use, as a block's file records it.
struct Usage {
    UnixTime last_use;
    std::uint32_t uses = 0;
};
[[nodiscard]] Usage usage_of(const struct stat& status);
void record_usage(const File& file, const Usage& usage);
void record_usage(const std::filesystem::path& path, const Usage& usage);

/// Adds `more.uses` to what the file says and moves its last use up to `more.last_use`, under the folder's lock. False
/// when there is no such file.
bool mark_used(const std::filesystem::path& folder, const std::filesystem::path& path, const Usage& more);

/// Guards a use against a removal. Uses take it shared, for microseconds.
[[nodiscard]] inline std::filesystem::path lock_path(const std::filesystem::path& folder) {
    return folder / "lock";
}
/// How long a use waits for it. One that does not get it goes on without: only the promise that a pruning process does
/// not remove what is just being used is lost then.
inline constexpr int kUsePatienceMs = 20;

/// The folder of a fingerprint with what belongs into it. kInternal when it is another's with the same id.
[[nodiscard]] Result<void> make_fingerprint_folder(const std::filesystem::path& folder, const Fingerprint& fingerprint);

/// Writes a block's file durably: temporary file, sync, rename, sync of the folder. kNotFound when the fingerprint's
/// folder is gone (a pruning process removes empty ones).
[[nodiscard]] Result<void> place_block(const std::filesystem::path& folder, const std::filesystem::path& path,
                                       Bytes head, Bytes stored, const Usage& usage);

/// The whole file of a block, verified but not unpacked; kLoadFailed when it is not what its name says.
[[nodiscard]] Result<Buffer> read_verified(const std::filesystem::path& path, const Fingerprint& fingerprint,
                                           const ChainHash& hash);

}  // namespace sutazai::artifact
