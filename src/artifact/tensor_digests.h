#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/error.h"
#include "base/model_parts.h"

/// Which tensors a model file holds: SHA-256 of each one's bytes, by its name, so that what two files have in common
/// can be told without reading either. Kept beside the digest of the whole file (weights_digest.h), under the same
/// marks of the file, and computed once for each, beside other work: about half a second per GB. Blocks on the disk;
/// any thread; no state.
namespace sutazai::artifact {

using TensorDigests = std::map<std::string, Digest>;

/// Of the file that had this stamp, if they have been computed; reads nothing of the file itself, which may be gone.
[[nodiscard]] std::optional<TensorDigests> cached_tensor_digests(const std::filesystem::path& artifacts,
                                                                 const std::string& file, const FileStamp& stamp);

/// Sees to it that those of all files of the model are there. `cancelled` is asked every 8 MiB: kCancelled when it says
/// true. kNotFound / kLoadFailed when a file cannot be read, is no GGUF file, or changes meanwhile. Those of a file
/// that was written to within the last two seconds are not kept.
[[nodiscard]] Result<void> keep_tensor_digests(const std::filesystem::path& artifacts, const std::string& model,
                                               const std::function<bool()>& cancelled = {});

}  // namespace sutazai::artifact
