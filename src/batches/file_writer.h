#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "batches/store.h"

namespace sutazai::batches {

/// A file in the making: gone unless it is committed, also when the process dies. Blocks on the disk; any thread, one
/// at a time.
class FileWriter {
  public:
    [[nodiscard]] static Result<FileWriter> create(const Store& store);

    [[nodiscard]] Result<void> add(std::string_view bytes);
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    /// Durably under its id. As long as this lives nobody takes the file for one that is left over.
    [[nodiscard]] Result<void> commit(const std::filesystem::path& path);

  private:
    explicit FileWriter(TempFile file) : file_(std::move(file)) {}

    TempFile file_;
    std::uint64_t bytes_ = 0;
};

/// Removes what dead processes have left: files in the making, files that were never recorded, results of batches that
/// have ended. Whoever runs batches does it.
void remove_left_over(Store& store);

}  // namespace sutazai::batches
