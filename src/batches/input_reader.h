#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "batches/store.h"

namespace sutazai::batches {

struct InputLimits {
    std::int64_t most_lines = 0;
    std::size_t most_line_bytes = 0;
};

/// Reads a batch's input file once, line by line, and records where its lines are and in which order they are to run.
/// Holds a piece of the file at a time. Blocks on the disk; any thread, one at a time.
class InputReader {
  public:
    static constexpr std::size_t kMostErrors = 100;  ///< then it reads no further

    /// `store` outlives it. What an earlier reader has recorded goes.
    [[nodiscard]] static Result<InputReader> begin(Store& store, const BatchRecord& batch, InputLimits limits);

    /// Reads some more, for a few milliseconds. True when all has been read, or enough is wrong.
    [[nodiscard]] Result<bool> step();
    /// What is wrong, in the order of the lines; none: the batch can run.
    [[nodiscard]] const std::vector<BatchError>& errors() const { return errors_; }

  private:
    InputReader(Store& store, const BatchRecord& batch, InputLimits limits, File file);
    Result<bool> read_piece();
    void take_line(std::string_view line, std::vector<LineRecord>& out);
    void refuse(std::string code, std::string message);
    Result<void> record(std::vector<LineRecord> lines);

    Store* store_;
    std::int64_t batch_;
    BatchEndpoint endpoint_;
    InputLimits limits_;
    File file_;
    std::string pending_;       // read, and not taken
    std::uint64_t offset_ = 0;  // of pending_ in the file
    std::int64_t number_ = 0;   // of the last line
    std::int64_t n_requests_ = 0;
    bool ended_ = false;  // the file
    std::vector<BatchError> errors_;
};

}  // namespace sutazai::batches
