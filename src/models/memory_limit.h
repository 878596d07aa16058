#pragma once

#include <cstdint>
#include <filesystem>

namespace sutazai::models {

/// Bytes of memory that this process and its children may take: the machine's, or less if a control group (version 2,
/// or the memory controller of version 1) that it is in, or one above that, says so. 0 when nothing can be read. `root`
/// is the file system's; tests have their own.
[[nodiscard]] std::uint64_t memory_limit(const std::filesystem::path& root = "/");

/// MODEL_CACHE_BYTES when it is 0: four fifths of memory_limit(), which leaves room for the server, the page cache and
/// everybody else; without any limit when that is not known.
[[nodiscard]] std::uint64_t default_cache_bytes(const std::filesystem::path& root = "/");

}  // namespace sutazai::models
