#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "batches/file_writer.h"
#include "batches/store.h"

/// From answers to a batch's files. Blocks on the disk; any thread, one at a time for each batch.
namespace sutazai::batches {

/// An answer that is to be kept: a line of an output or error file.
struct NewResult {
    std::int64_t number = 0;
    bool succeeded = false;
    std::string text;
};

/// Writes the answers to the batch's file of results and then records where they are: what is recorded is there. An
/// answer to a line that has one changes nothing. How many were new.
[[nodiscard]] Result<std::int64_t> keep_results(Store& store, std::int64_t batch, std::span<const NewResult> results);

/// Makes a batch's output and error files of what has been recorded, in the order of the lines, and ends the batch with
/// them. Begun anew it makes the same.
class Finishing {
  public:
    /// Lines without an answer are told of as `end` has it: expired or cancelled. `store` outlives it; files get
    /// `expires_at` (0: never).
    Finishing(Store& store, BatchRecord batch, BatchStatus end, UnixTime now, UnixTime expires_at);

    /// Does some more; true when the batch has ended.
    [[nodiscard]] Result<bool> step();

  private:
    Result<void> add(const LineOutcome& line);
    Result<void> add_to(std::optional<FileWriter>& file, std::string_view text);
    Result<std::optional<FileObject>> commit(std::optional<FileWriter>& file, std::string_view kind);
    Result<bool> end();

    Store* store_;
    BatchRecord batch_;
    BatchStatus end_;
    UnixTime now_, expires_at_;
    File results_;
    std::int64_t last_number_ = 0;
    std::optional<FileWriter> output_, errors_;
};

}  // namespace sutazai::batches
