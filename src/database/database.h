#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>

#include "base/error.h"

/// Records that outlive the process, in SQLite.
namespace sutazai::database {

/// `what` a database did not do, and why, as a sentence. A full disk, one that cannot be written to and a file that
/// another process holds are kUnavailable, everything else kInternal. SQLite's words name tables, never values.
[[nodiscard]] Error error_of(const char* what, const SQLite::Exception& thrown);

/// One SQLite file, for its owner alone (0600, as what SQLite puts beside it). In write-ahead mode: what is committed
/// survives the end of the process at any moment, and with Durability::kDisk that of the machine, too. Blocks on the
/// disk; any thread, one at a time.
class Database {
  public:
    enum class Durability : std::uint8_t {
        kProcess,  ///< the last transactions may be lost when the machine loses power; the file is whole all the same
        kDisk,     ///< a transaction is on the disk when it has ended
    };

    /// Makes the file and its folder where they are missing. `steps` are scripts of SQL; a file knows how many it has
    /// been through, and goes through the others, each in a transaction. Never change one that was released. A file
    /// that has been through more than there are is one of a newer version: kUnavailable, as is one that is not a
    /// database; it is left as it is.
    [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path,
                                                                std::span<const char* const> steps,
                                                                Durability durability);

    /// Does `work`, which is given the SQLite::Database and gives back a Result; what SQLite throws becomes an error.
    /// Each statement is a transaction.
    template <typename Work>
    auto run(const char* what, Work&& work) -> std::invoke_result_t<Work, SQLite::Database&> {
        const std::scoped_lock lock(mutex_);
        try {
            return std::forward<Work>(work)(*database_);
        } catch (const SQLite::Exception& thrown) {
            return std::unexpected(error_of(what, thrown));
        }
    }

    /// The same in one transaction: all of it, or nothing when `work` gives an error or throws.
    template <typename Work>
    auto write(const char* what, Work&& work) -> std::invoke_result_t<Work, SQLite::Database&> {
        return run(what, [&work](SQLite::Database& database) -> std::invoke_result_t<Work, SQLite::Database&> {
            SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
            auto result = std::forward<Work>(work)(database);
            if (result) transaction.commit();
            return result;
        });
    }

  private:
    explicit Database(std::unique_ptr<SQLite::Database> database) : database_(std::move(database)) {}

    std::mutex mutex_;
    std::unique_ptr<SQLite::Database> database_;
};

}  // namespace sutazai::database
