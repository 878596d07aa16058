#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "batches/records.h"
#include "database/database.h"

/// Files and batches that outlive the server (docs/decisions/0040-durable-batches.md).
namespace sutazai::batches {

/// The records, in an SQLite file, and the folders of what belongs to them. Each call is one transaction. Errors are
/// the database's, beside what is said. Blocks on the disk; any thread. `now` is the time of what is done.
class Store {
  public:
    /// Nothing is made before something is to be kept.
    explicit Store(std::filesystem::path folder) : folder_(std::move(folder)) {}

    /// Has anything ever been kept here?
    [[nodiscard]] bool exists() const;
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    [[nodiscard]] std::filesystem::path files_folder() const { return folder_ / "files"; }
    [[nodiscard]] std::filesystem::path file_path(std::string_view id) const { return files_folder() / id; }
    /// Of a batch that runs: answers, one behind the other, in the order in which they came.
    [[nodiscard]] std::filesystem::path results_path(std::int64_t batch) const;
    /// Makes database and folders where they are missing.
    [[nodiscard]] Result<void> open();

    // Files. Those that are past their time are not there for anybody.

    /// kPayloadTooLarge when all files together would be longer than `most_in_all`.
    [[nodiscard]] Result<void> add_file(const std::string& tenant, const FileObject& file, std::uint64_t most_in_all);
    [[nodiscard]] Result<FileObject> file(const std::string& tenant, const std::string& id, UnixTime now);
    [[nodiscard]] Result<Page<FileObject>> files(const std::string& tenant, const api::openai::ListQuery& query,
                                                 UnixTime now);
    /// The record alone. kInvalidArgument for the input of a batch that has not ended.
    [[nodiscard]] Result<void> remove_file(const std::string& tenant, const std::string& id, UnixTime now);
    /// Whether remove_file() would remove it.
    [[nodiscard]] Result<void> check_removable(const std::string& tenant, const std::string& id);
    [[nodiscard]] Result<std::uint64_t> bytes_in_all();
    [[nodiscard]] Result<bool> has_file(const std::string& id);
    /// Removes the records of files past their time that no unfinished batch reads; their ids.
    [[nodiscard]] Result<std::vector<std::string>> remove_expired_files(UnixTime now);

    // Batches, for who ordered them.

    /// kNotFound, or kInvalidArgument, when the input file cannot be one.
    [[nodiscard]] Result<BatchRecord> add_batch(const std::string& tenant, const api::openai::BatchOrder& order,
                                                UnixTime now);
    [[nodiscard]] Result<BatchRecord> batch(const std::string& tenant, const std::string& id);
    /// Latest first.
    [[nodiscard]] Result<Page<BatchObject>> batches(const std::string& tenant, const api::openai::ListQuery& query);
    /// One that has ended is kInvalidArgument; one that is being cancelled stays as it is.
    [[nodiscard]] Result<BatchRecord> cancel(const std::string& tenant, const std::string& id, UnixTime now);
    /// Ended batches and what is known of them, but for their files.
    [[nodiscard]] Result<void> remove_batches_before(UnixTime ended_before);

    // Batches, for who runs them. `batch` is the record's number.

    [[nodiscard]] Result<std::vector<BatchRecord>> unfinished();  ///< oldest first
    [[nodiscard]] Result<BatchStatus> status(std::int64_t batch);
    /// Before the first line is added: what an earlier try has left goes.
    [[nodiscard]] Result<void> begin_lines(std::int64_t batch);
    /// Those whose custom_id is there already are not added, and are given back.
    [[nodiscard]] Result<std::vector<LineRecord>> add_lines(std::int64_t batch, std::span<const LineRecord> lines);
    /// All lines are there. False when it has been cancelled meanwhile, as for those below.
    [[nodiscard]] Result<bool> begin_work(std::int64_t batch, UnixTime now);
    [[nodiscard]] Result<bool> refuse(std::int64_t batch, std::span<const BatchError> errors, UnixTime now);

    /// Lines without a result behind `after` (null: from the first one) in the order in which they are to run: by
    /// model, then by key, then by number.
    [[nodiscard]] Result<std::vector<LineRecord>> open_lines(std::int64_t batch, const LineRecord* after, int most);
    /// A line that has a result keeps it. How many were new.
    [[nodiscard]] Result<std::int64_t> add_results(std::int64_t batch, std::span<const LineResult> results);

    [[nodiscard]] Result<bool> begin_finalizing(std::int64_t batch, UnixTime now);
    [[nodiscard]] Result<std::vector<LineOutcome>> outcomes(std::int64_t batch, std::int64_t after_number, int most);
    /// The batch has ended, as `end` says, and these are its files; its lines go. False, and nothing is done, when it
    /// had ended before.
    [[nodiscard]] Result<bool> end(std::int64_t batch, BatchStatus end, const std::optional<FileObject>& output,
                                   const std::optional<FileObject>& errors, UnixTime now);

  private:
    template <typename Work>
    auto read(const char* what, Work&& work) -> std::invoke_result_t<Work, SQLite::Database&> {
        if (auto opened = open(); !opened) return std::unexpected(std::move(opened.error()));
        return database_->run(what, std::forward<Work>(work));
    }
    template <typename Work>
    auto write(const char* what, Work&& work) -> std::invoke_result_t<Work, SQLite::Database&> {
        if (auto opened = open(); !opened) return std::unexpected(std::move(opened.error()));
        return database_->write(what, std::forward<Work>(work));
    }

    std::filesystem::path folder_;
    std::mutex opening_;
    std::unique_ptr<database::Database> database_;  // set once
};

/// "file-" or "batch_" and so on, and 32 random hex digits.
[[nodiscard]] std::string new_id(std::string_view prefix);

}  // namespace sutazai::batches
