#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "artifact/fingerprint.h"
#include "artifact/folder.h"
#include "base/error.h"

/// Artifacts in one file, to be carried to another machine. Blocks on the disk; any thread; beside running engines.
///
/// The file is a tar archive (any tar lists and unpacks it): manifests first, then one file per block, last a checksum
/// over everything before it. What the reader takes is exactly what the writer makes, byte for byte, so a flipped bit
/// is noticed wherever it is. Memory: one block.
namespace sutazai::artifact {

/// `done` of `total` bytes; total is an estimate while exporting. Returns false to cancel.
using TransferProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

struct TransferReport {
    std::uint64_t artifacts = 0;            ///< in the file
    std::uint64_t bytes = 0;                ///< of the file
    std::uint64_t added = 0;                ///< import: were not there before
    std::uint64_t skipped = 0;              ///< export: damaged, or removed while exporting
    std::vector<std::string> fingerprints;  ///< ids
};

/// Writes all blocks of the fingerprints that `wanted` says true to (all when it is empty) to `file`: to a temporary
/// file beside it first, so that nothing half is ever there. Blocks are verified before they are written. kNotFound
/// when there are none, kCancelled, kUnavailable when the file cannot be written.
[[nodiscard]] Result<TransferReport> export_artifacts(const std::filesystem::path& folder,
                                                      const std::function<bool(const Fingerprint&)>& wanted,
                                                      const std::filesystem::path& file,
                                                      const TransferProgress& progress = {});

/// Verifies all of `file` first, then adds its blocks. `accept` sees each fingerprint before anything else happens and
/// returns the reason why it cannot be used here, or "". kInvalidArgument when a fingerprint is refused, kLoadFailed
/// when the file is damaged, cut short or no such file, kCancelled, kUnavailable when the folder cannot be written. On
/// any error what this call added is removed again.
[[nodiscard]] Result<TransferReport> import_artifacts(const std::filesystem::path& file,
                                                      const std::filesystem::path& folder,
                                                      const std::function<std::string(const Fingerprint&)>& accept,
                                                      UnixTime now, const TransferProgress& progress = {});

/// The fingerprints in `file`, from its beginning; the rest is not looked at.
[[nodiscard]] Result<std::vector<Fingerprint>> exported_fingerprints(const std::filesystem::path& file);

}  // namespace sutazai::artifact
