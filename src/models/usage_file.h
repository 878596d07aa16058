#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sutazai::models {

/// What is worth knowing about a model after a restart.
struct Usage {
    bool warm = false;                              ///< it was, when this was written
    bool pinned = false;                            ///< by order, until it is unpinned
    double score = 0;                               ///< Popularity
    std::int64_t last_used_s = 0;                   ///< Unix time; 0: never
    std::int64_t load_ms = 0;                       ///< what its last load took; 0: unknown
    std::uint64_t file_bytes = 0;                   ///< of the model file that this is about
    std::optional<std::int64_t> memory_correction;  ///< bytes that it took beyond the estimate

    bool operator==(const Usage&) const = default;
};
using UsageByName = std::map<std::string, Usage>;

/// One line a model, tab separated, after a line that names the format. What a line does not say right is left out: the
/// file is a help, never a condition.
[[nodiscard]] std::string usage_text(const UsageByName& usage);
[[nodiscard]] UsageByName parse_usage(std::string_view text);

/// Empty when there is no such file, or it cannot be read.
[[nodiscard]] UsageByName read_usage(const std::string& path);

/// Replaces the file by renaming a new one over it, so that a reader finds the old or the new one. Makes its folder.
/// False when that does not work out; nothing else depends on it.
bool write_usage(const std::string& path, const UsageByName& usage);

}  // namespace sutazai::models
