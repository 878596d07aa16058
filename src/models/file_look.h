#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/blocking_pool.h"
#include "base/model_parts.h"
#include "catalog/gguf_file.h"

namespace sutazai::models {

/// What the disk says of a model's files.
struct FileLook {
    FileStamps stamps;    ///< of every part; empty when one is missing
    std::string missing;  ///< its name
    /// Of files that are none of the known ones; its error otherwise says what is wrong with it.
    std::optional<Result<catalog::GgufSummary>> summary;

    /// How long ago one of the files that `known` is of was written to; nothing when none was.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> written_in_place(const FileStamps& known) const;
};

/// Looks at the files of the model at `path`, and into them unless they are one of `known`, on the pool. Errors are the
/// pool's.
[[nodiscard]] boost::asio::awaitable<Result<FileLook>> look_at_file(BlockingPool& pool, std::string path,
                                                                    std::vector<FileStamps> known);

}  // namespace sutazai::models
