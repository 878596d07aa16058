#include "responses/response_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sutazai::responses {

namespace {

/// One try to open a file may wait for whoever holds it.
constexpr std::int64_t kRetryS = 5;

/// Of a conversation; it has an item or two from each.
constexpr std::size_t kMostLinks = 4096;

constexpr std::array<const char*, 1> kSteps{R"(
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    previous TEXT NOT NULL,
    status TEXT NOT NULL,
    open INTEGER NOT NULL,
    background INTEGER NOT NULL,
    streams INTEGER NOT NULL,
    admin INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    input TEXT NOT NULL,
    body TEXT NOT NULL,
    request TEXT NOT NULL,
    events TEXT NOT NULL
);
CREATE INDEX responses_by_use ON responses (open, used);
)"};

std::uint64_t bytes_of(const Record& record) {
    constexpr std::uint64_t kRow = 256;  // beside the texts
    return kRow + record.input.size() + record.body.size() + record.request.size() + record.events.size();
}

/// Of the columns in the order of kColumns.
Record record_of(SQLite::Statement& row) {
    const auto text = [&](int column) { return row.getColumn(column).getString(); };
    const auto flag = [&](int column) { return row.getColumn(column).getInt() != 0; };
    return {.id = text(0),
            .tenant = text(1),
            .previous = text(2),
            .status = text(3),
            .open = flag(4),
            .background = flag(5),
            .streams = flag(6),
            .admin = flag(7),
            .tries = row.getColumn(8).getInt(),
            .created_unix_s = row.getColumn(9).getInt64(),
            .input = text(10),
            .body = text(11),
            .request = text(12),
            .events = text(13)};
}
constexpr const char* kColumns =
    "id, tenant, previous, status, open, background, streams, admin, tries, created, input, body, request, events";
constexpr const char* kColumnsWithoutEvents =
    "id, tenant, previous, status, open, background, streams, admin, tries, created, input, body, request, ''";

void bind(SQLite::Statement& statement, int place, std::string_view text) {
    statement.bind(place, std::string(text));
}
/// The text outlives the statement.
void bind_long(SQLite::Statement& statement, int place, const std::string& text) {
    statement.bindNoCopy(place, text);
}

Error missing(std::string_view id, bool is_first) {
    return {ErrorCode::kNotFound,
            is_first ? fmt::format("There is no response {}.", id)
                     : fmt::format("The conversation goes on from a response that is not there any more: {}.", id),
            "previous_response_id"};
}

}  // namespace

ResponseStore::ResponseStore(const std::filesystem::path& folder, Limits limits)
    : file_(folder / "responses.sqlite"), lock_file_(folder / "responses.lock"), limits_(limits) {}

Result<void> ResponseStore::open(std::int64_t now) {
    if (database_) return {};
    if (failure_ && now < retry_at_) return std::unexpected(*failure_);
    retry_at_ = now + kRetryS;
    const auto failed = [this](Error error) {
        lock_.reset();
        failure_ = std::move(error);
        return std::unexpected(*failure_);
    };
    if (auto made = make_folder(file_.parent_path()); !made) return failed(std::move(made.error()));
    lock_ = std::make_unique<FolderLock>(lock_file_, FolderLock::Mode::kExclusive, 0);
    if (!lock_->held()) {
        const char* why = lock_->exists() ? "another server with the same SUTAZAI_HOME has it" : "it cannot be made";
        return failed({ErrorCode::kUnavailable, fmt::format("{} cannot be locked: {}", lock_file_.string(), why)});
    }
    auto database = database::Database::open(file_, kSteps, database::Database::Durability::kProcess);
    if (!database) return failed(std::move(database.error()));
    auto sum = (*database)->run("cannot read the stored responses", [](SQLite::Database& sql) -> Result<std::uint64_t> {
        return static_cast<std::uint64_t>(sql.execAndGet("SELECT COALESCE(SUM(bytes), 0) FROM responses").getInt64());
    });
    if (!sum) return failed(std::move(sum.error()));
    failure_.reset();
    bytes_ = *sum;
    database_ = std::move(*database);
    return expire(now);
}

Result<void> ResponseStore::add(const Record& record, std::int64_t now) {
    if (auto opened = open(now); !opened) return opened;
    const std::uint64_t bytes = bytes_of(record);
    if (bytes > limits_.most_bytes) {
        return fail(ErrorCode::kPayloadTooLarge, "The response is larger than RESPONSES_BYTES allows.");
    }
    auto added = database_->write("cannot store a response", [&](SQLite::Database& sql) -> Result<void> {
        SQLite::Statement insert(sql, fmt::format("INSERT INTO responses ({}, used, bytes) "
                                                  "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                                  kColumns));
        int place = 0;
        for (const std::string* text : {&record.id, &record.tenant, &record.previous, &record.status}) {
            bind(insert, ++place, *text);
        }
        for (const bool flag : {record.open, record.background, record.streams, record.admin}) {
            insert.bind(++place, flag ? 1 : 0);
        }
        insert.bind(++place, record.tries);
        insert.bind(++place, record.created_unix_s);
        for (const std::string* text : {&record.input, &record.body, &record.request, &record.events}) {
            bind_long(insert, ++place, *text);
        }
        insert.bind(++place, now);
        insert.bind(++place, static_cast<std::int64_t>(bytes));
        insert.exec();
        return {};
    });
    if (!added) return added;
    bytes_ += bytes;
    return make_room(now);
}

Result<bool> ResponseStore::update(const Record& record, std::int64_t now) {
    if (auto opened = open(now); !opened) return std::unexpected(std::move(opened.error()));
    std::int64_t more = 0;
    auto updated = database_->write("cannot store a response", [&](SQLite::Database& sql) -> Result<bool> {
        SQLite::Statement before(sql, "SELECT bytes, LENGTH(CAST(input AS BLOB)) FROM responses WHERE id = ?");
        bind(before, 1, record.id);
        if (!before.executeStep()) return false;
        const std::int64_t was = before.getColumn(0).getInt64();
        Record kept = record;
        kept.input.clear();
        const std::int64_t is = static_cast<std::int64_t>(bytes_of(kept)) + before.getColumn(1).getInt64();
        before.reset();
        SQLite::Statement update(sql,
                                 "UPDATE responses SET status = ?, open = ?, body = ?, request = ?, events = ?, "
                                 "used = ?, bytes = ?, tries = ? WHERE id = ?");
        bind(update, 1, record.status);
        update.bind(2, record.open ? 1 : 0);
        bind_long(update, 3, record.body);
        bind_long(update, 4, record.request);
        bind_long(update, 5, record.events);
        update.bind(6, now);
        update.bind(7, is);
        update.bind(8, record.tries);
        bind(update, 9, record.id);
        update.exec();
        more = is - was;
        return true;
    });
    if (!updated || !*updated) return updated;
    bytes_ += static_cast<std::uint64_t>(more);
    if (auto made = make_room(now); !made) return std::unexpected(std::move(made.error()));
    return true;
}

Result<std::optional<Record>> ResponseStore::find(std::string_view tenant, std::string_view id, std::int64_t now,
                                                  bool with_events) {
    if (auto opened = open(now); !opened) return std::unexpected(std::move(opened.error()));
    return database_->run("cannot read a stored response", [&](SQLite::Database& sql) -> Result<std::optional<Record>> {
        SQLite::Statement select(sql, fmt::format("SELECT {} FROM responses WHERE id = ? AND tenant = ? "
                                                  "AND (open OR used > ?)",
                                                  with_events ? kColumns : kColumnsWithoutEvents));
        bind(select, 1, id);
        bind(select, 2, tenant);
        select.bind(3, now - limits_.retention_s);
        if (!select.executeStep()) return std::nullopt;
        return record_of(select);
    });
}

Result<std::vector<Record>> ResponseStore::chain(std::string_view tenant, std::string_view id, std::uint64_t most_bytes,
                                                 std::int64_t now) {
    std::vector<Record> out;
    std::uint64_t bytes = 0;
    std::string next(id);
    while (!next.empty()) {
        auto found = find(tenant, next, now);
        if (!found) return std::unexpected(std::move(found.error()));
        if (!*found) return std::unexpected(missing(next, out.empty()));
        bytes += bytes_of(**found);
        if (bytes > most_bytes || out.size() >= kMostLinks) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("The conversation is longer than the {} bytes or {} responses that there may be.",
                                    most_bytes, kMostLinks),
                        "previous_response_id");
        }
        next = (*found)->previous;
        out.push_back(std::move(**found));
    }
    std::ranges::reverse(out);
    // One that is not on disk to the second is no reason not to go on from it.
    (void)database_->write("cannot note a use", [&](SQLite::Database& sql) -> Result<void> {
        SQLite::Statement use(sql, "UPDATE responses SET used = ? WHERE id = ?");
        for (const Record& record : out) {
            use.bind(1, now);
            bind(use, 2, record.id);
            use.exec();
            use.reset();
        }
        return {};
    });
    return out;
}

Result<bool> ResponseStore::remove(std::string_view tenant, std::string_view id, std::int64_t now) {
    if (auto opened = open(now); !opened) return std::unexpected(std::move(opened.error()));
    auto removed = database_->write("cannot delete a response", [&](SQLite::Database& sql) -> Result<std::uint64_t> {
        SQLite::Statement remove(sql, "DELETE FROM responses WHERE id = ? AND tenant = ? RETURNING bytes");
        bind(remove, 1, id);
        bind(remove, 2, tenant);
        return remove.executeStep() ? static_cast<std::uint64_t>(remove.getColumn(0).getInt64()) : 0;
    });
    if (!removed) return std::unexpected(std::move(removed.error()));
    bytes_ -= *removed;
    return *removed > 0;
}

Result<std::vector<Record>> ResponseStore::open_ones(std::int64_t now) {
    std::error_code failure;
    if (!std::filesystem::exists(file_, failure)) return std::vector<Record>{};
    if (auto opened = open(now); !opened) return std::unexpected(std::move(opened.error()));
    return database_->run(
        "cannot read the stored responses", [&](SQLite::Database& sql) -> Result<std::vector<Record>> {
            SQLite::Statement select(sql,
                                     fmt::format("SELECT {} FROM responses WHERE open ORDER BY created, id", kColumns));
            std::vector<Record> out;
            while (select.executeStep()) {
                out.push_back(record_of(select));
                out.back().input.clear();
            }
            return out;
        });
}

Result<void> ResponseStore::expire(std::int64_t now) {
    std::error_code failure;
    if (!database_ && !std::filesystem::exists(file_, failure)) return {};
    if (!database_) return open(now);
    return free(database_->write("cannot delete old responses", [&](SQLite::Database& sql) -> Result<std::uint64_t> {
        SQLite::Statement remove(sql, "DELETE FROM responses WHERE NOT open AND used <= ? RETURNING bytes");
        remove.bind(1, now - limits_.retention_s);
        std::uint64_t freed = 0;
        while (remove.executeStep()) freed += static_cast<std::uint64_t>(remove.getColumn(0).getInt64());
        return freed;
    }));
}

Result<void> ResponseStore::free(Result<std::uint64_t> bytes) {
    if (!bytes) return std::unexpected(std::move(bytes.error()));
    bytes_ -= *bytes;
    return {};
}

Result<void> ResponseStore::make_room(std::int64_t now) {
    if (bytes_ <= limits_.most_bytes) return {};
    if (auto expired = expire(now); !expired) return expired;
    return free(database_->write("cannot delete old responses", [&](SQLite::Database& sql) -> Result<std::uint64_t> {
        SQLite::Statement oldest(sql, "SELECT id, bytes FROM responses WHERE NOT open ORDER BY used, created LIMIT 1");
        SQLite::Statement remove(sql, "DELETE FROM responses WHERE id = ?");
        std::uint64_t freed = 0;
        while (bytes_ - freed > limits_.most_bytes && oldest.executeStep()) {
            remove.bind(1, oldest.getColumn(0).getString());
            freed += static_cast<std::uint64_t>(oldest.getColumn(1).getInt64());
            oldest.reset();
            remove.exec();
            remove.reset();
        }
        return freed;
    }));
}

}  // namespace sutazai::responses
