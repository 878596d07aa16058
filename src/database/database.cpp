#include "database/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace sutazai::database {

namespace {

/// Another process writes for a moment only; one that holds the file for longer is another server.
constexpr int kPatienceMs = 2000;

/// SQLite makes a file for everybody to read, unless it is there already.
Result<void> make_file(const std::filesystem::path& path) {
    if (auto made = make_folder(path.parent_path()); !made) return made;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): POSIX
    const File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return std::unexpected(disk_error("cannot open " + path.string(), errno));
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(ErrorCode::kUnavailable, path.string() + " is not a file");
    }
    return {};
}

Result<void> bring_up_to_date(SQLite::Database& database, const std::filesystem::path& path,
                              std::span<const char* const> steps) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    const auto done = static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt64());
    if (done > steps.size()) {
        return fail(ErrorCode::kUnavailable, fmt::format("{} was written by a newer version", path.string()));
    }
    for (const char* step : steps.subspan(done)) database.exec(step);
    if (done < steps.size()) database.exec(fmt::format("PRAGMA user_version = {}", steps.size()));
    transaction.commit();
    return {};
}

}  // namespace

Error error_of(const char* what, const SQLite::Exception& thrown) {
    ErrorCode code = ErrorCode::kInternal;
    switch (thrown.getErrorCode()) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_PERM:
        case SQLITE_NOMEM: code = ErrorCode::kUnavailable; break;
        default: break;
    }
    return {code, fmt::format("{}: {}", what, thrown.what())};
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path, std::span<const char* const> steps,
                                                 Durability durability) {
    if (auto made = make_file(path); !made) return std::unexpected(std::move(made.error()));
    const std::string what = fmt::format("cannot open {}", path.string());
    try {
        auto database = std::make_unique<SQLite::Database>(path.string(), SQLite::OPEN_READWRITE, kPatienceMs);
        database->exec("PRAGMA journal_mode = WAL");
        database->exec(durability == Durability::kDisk ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        database->exec("PRAGMA foreign_keys = ON");
        database->exec("PRAGMA secure_delete = ON");  // what is deleted may be what somebody said
        if (auto done = bring_up_to_date(*database, path, steps); !done)
            return std::unexpected(std::move(done.error()));
        return std::unique_ptr<Database>(new Database(std::move(database)));
    } catch (const SQLite::Exception& thrown) {
        Error error = error_of(what.c_str(), thrown);
        error.code = ErrorCode::kUnavailable;
        return std::unexpected(std::move(error));
    }
}

}  // namespace sutazai::database
