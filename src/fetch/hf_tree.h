#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"

/// The files of a repository as Hugging Face lists them. Pure.
namespace sutazai::fetch {

struct HfFile {
    std::string path;
    std::uint64_t bytes = 0;
    std::optional<Digest> digest;  ///< of files that are kept beside the repository: all large ones
};

/// The answer of /api/models/<repository>/tree/<revision>: the GGUF files. kUnavailable for what is no such list.
[[nodiscard]] Result<std::vector<HfFile>> parse_hf_tree(std::string_view text);

/// The file of a quantisation, or of another tag that the catalogue would give it; without a tag Q4_K_M, else Q8_0,
/// else the first. kNotFound names those that there are. kInvalidArgument for one that is split into parts.
[[nodiscard]] Result<HfFile> choose_hf_file(std::string_view repository, const std::vector<HfFile>& files,
                                            std::string_view tag);

}  // namespace sutazai::fetch
