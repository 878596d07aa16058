#include <fmt/format.h>

#include "batches/store.h"

namespace sutazai::batches {

namespace {

constexpr const char* kColumns = "id, filename, purpose, bytes, created_at, expires_at";
constexpr const char* kUnread =
    "NOT EXISTS (SELECT 1 FROM batches WHERE input_file = files.id AND status IN (0, 1, 2, 6))";

FileObject file_of(SQLite::Statement& row) {
    return {row.getColumn(0).getString(), row.getColumn(1).getString(),
            row.getColumn(2).getString(), static_cast<std::uint64_t>(row.getColumn(3).getInt64()),
            row.getColumn(4).getInt64(),  row.getColumn(5).getInt64()};
}

std::unexpected<Error> no_such_file() {
    return fail(ErrorCode::kNotFound, "There is no such file.", "file_id");
}

std::unexpected<Error> is_read() {
    return fail(ErrorCode::kInvalidArgument, "The file is the input of a batch that has not ended; cancel that first.",
                "file_id");
}

}  // namespace

Result<void> Store::add_file(const std::string& tenant, const FileObject& file, std::uint64_t most_in_all) {
    return write("A file cannot be recorded", [&](SQLite::Database& database) -> Result<void> {
        const auto there =
            static_cast<std::uint64_t>(database.execAndGet("SELECT COALESCE(SUM(bytes), 0) FROM files").getInt64());
        if (there + file.bytes > most_in_all) {
            return fail(ErrorCode::kPayloadTooLarge,
                        fmt::format("All files together may take {} bytes (FILES_MAX_BYTES), and {} are taken; delete "
                                    "some.",
                                    most_in_all, there),
                        "file");
        }
        SQLite::Statement insert(database,
                                 "INSERT INTO files (id, tenant, filename, purpose, bytes, created_at, expires_at) "
                                 "VALUES (?, ?, ?, ?, ?, ?, ?)");
        insert.bind(1, file.id);
        insert.bind(2, tenant);
        insert.bind(3, file.filename);
        insert.bind(4, file.purpose);
        insert.bind(5, static_cast<std::int64_t>(file.bytes));
        insert.bind(6, file.created_unix_s);
        insert.bind(7, file.expires_unix_s);
        insert.exec();
        return {};
    });
}

Result<FileObject> Store::file(const std::string& tenant, const std::string& id, UnixTime now) {
    return read("A file cannot be looked up", [&](SQLite::Database& database) -> Result<FileObject> {
        SQLite::Statement query(database, fmt::format("SELECT {} FROM files WHERE id = ? AND tenant = ? AND "
                                                      "(expires_at = 0 OR expires_at > ?)",
                                                      kColumns));
        query.bind(1, id);
        query.bind(2, tenant);
        query.bind(3, now);
        if (!query.executeStep()) return no_such_file();
        return file_of(query);
    });
}

Result<Page<FileObject>> Store::files(const std::string& tenant, const api::openai::ListQuery& query, UnixTime now) {
    return read("Files cannot be listed", [&](SQLite::Database& database) -> Result<Page<FileObject>> {
        std::int64_t after = 0;
        if (!query.after.empty()) {
            SQLite::Statement find(database, "SELECT number FROM files WHERE id = ? AND tenant = ?");
            find.bind(1, query.after);
            find.bind(2, tenant);
            if (!find.executeStep()) {
                return fail(ErrorCode::kInvalidArgument, "after must be the id of a file.", "after");
            }
            after = find.getColumn(0).getInt64();
        }
        SQLite::Statement select(
            database, fmt::format("SELECT {} FROM files WHERE tenant = ? AND (expires_at = 0 OR expires_at > ?) "
                                  "AND (? = '' OR purpose = ?) AND (? = 0 OR number {} ?) ORDER BY number {} LIMIT ?",
                                  kColumns, query.ascending ? ">" : "<", query.ascending ? "ASC" : "DESC"));
        select.bind(1, tenant);
        select.bind(2, now);
        select.bind(3, query.purpose);
        select.bind(4, query.purpose);
        select.bind(5, after);
        select.bind(6, after);
        select.bind(7, query.limit + 1);
        Page<FileObject> page;
        while (select.executeStep()) {
            page.has_more = page.items.size() == static_cast<std::size_t>(query.limit);
            if (page.has_more) break;
            page.items.push_back(file_of(select));
        }
        return page;
    });
}

Result<void> Store::remove_file(const std::string& tenant, const std::string& id, UnixTime now) {
    if (auto there = file(tenant, id, now); !there) return std::unexpected(std::move(there.error()));
    return write("A file cannot be deleted", [&](SQLite::Database& database) -> Result<void> {
        SQLite::Statement remove(database,
                                 fmt::format("DELETE FROM files WHERE id = ? AND tenant = ? AND {}", kUnread));
        remove.bind(1, id);
        remove.bind(2, tenant);
        if (remove.exec() == 0) return is_read();
        return {};
    });
}

Result<void> Store::check_removable(const std::string& tenant, const std::string& id) {
    return read("A file cannot be looked up", [&](SQLite::Database& database) -> Result<void> {
        SQLite::Statement query(database,
                                fmt::format("SELECT 1 FROM files WHERE id = ? AND tenant = ? AND {}", kUnread));
        query.bind(1, id);
        query.bind(2, tenant);
        if (!query.executeStep()) return is_read();
        return {};
    });
}

Result<std::uint64_t> Store::bytes_in_all() {
    return read("Files cannot be added up", [](SQLite::Database& database) -> Result<std::uint64_t> {
        return static_cast<std::uint64_t>(database.execAndGet("SELECT COALESCE(SUM(bytes), 0) FROM files").getInt64());
    });
}

Result<bool> Store::has_file(const std::string& id) {
    return read("A file cannot be looked up", [&](SQLite::Database& database) -> Result<bool> {
        SQLite::Statement query(database, "SELECT 1 FROM files WHERE id = ?");
        query.bind(1, id);
        return query.executeStep();
    });
}

Result<std::vector<std::string>> Store::remove_expired_files(UnixTime now) {
    return write("Old files cannot be removed", [&](SQLite::Database& database) -> Result<std::vector<std::string>> {
        SQLite::Statement remove(
            database,
            fmt::format("DELETE FROM files WHERE expires_at > 0 AND expires_at <= ? AND {} RETURNING id", kUnread));
        remove.bind(1, now);
        std::vector<std::string> ids;
        while (remove.executeStep()) ids.push_back(remove.getColumn(0).getString());
        return ids;
    });
}

}  // namespace sutazai::batches
