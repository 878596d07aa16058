#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

/// What a GGUF file says of its model, entry by entry, for those who want to see it.
namespace sutazai::catalog {

/// Of every numeric type the widest of its kind.
using MetadataScalar = std::variant<bool, std::uint64_t, std::int64_t, double, std::string>;

struct MetadataEntry {
    std::string key;
    bool is_array = false;
    std::vector<MetadataScalar> values;  ///< one, or of an array all; none of an array that was not asked for
};

enum class Arrays : std::uint8_t { kSkip, kRead };

/// All entries in their order; what a file holds in texts is bytes, perhaps no UTF-8. kLoadFailed as
/// read_gguf_summary() has it. Blocks on the disk for milliseconds; any thread.
[[nodiscard]] Result<std::vector<MetadataEntry>> read_gguf_metadata(const std::string& path, Arrays arrays);
[[nodiscard]] Result<std::vector<MetadataEntry>> read_gguf_metadata(std::istream& in, std::uint64_t size,
                                                                    Arrays arrays);

/// The text of an entry that is one; empty when there is none of that name.
[[nodiscard]] std::string text_of(const std::vector<MetadataEntry>& entries, std::string_view key);

}  // namespace sutazai::catalog
