#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "artifact/hash.h"
#include "base/error.h"

/// Which weights a model file holds. Blocks on the disk; any thread; no state.
///
/// The digest is over every byte of the file: SHA-256 of the file's size and the SHA-256 of each 8 MiB piece; of a
/// split model (base/model_parts.h), SHA-256 of the number of its files and the digest of each. Samples would be
/// quicker and would not tell a model from the same one with a few tensors tuned. Reading and hashing take about half a
/// second per GB once per file, so the result is kept in `<artifacts>/digests/` under the file's path, device, inode,
/// size, mtime and ctime. A cold start asks cached_weights_digest() (microseconds); on nullopt the engine computes
/// beside its work and uses artifacts from then on.
namespace sutazai::artifact {

/// What an earlier weights_digest() of this file found, if the file has not been touched since. Never reads the model.
[[nodiscard]] std::optional<Digest> cached_weights_digest(const std::filesystem::path& artifacts,
                                                          const std::filesystem::path& model);

/// The cached digest, else computed (and kept, unless the file changed within the last two seconds, which a later
/// change could hide behind). `cancelled` is asked every 8 MiB: kCancelled when it says true. kNotFound / kLoadFailed
/// when the file cannot be read or changes meanwhile. A cache that cannot be written is no error.
[[nodiscard]] Result<Digest> weights_digest(const std::filesystem::path& artifacts, const std::filesystem::path& model,
                                            const std::function<bool()>& cancelled = {});

}  // namespace sutazai::artifact
