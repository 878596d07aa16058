#include <fmt/format.h>

#include <string>

#include "batches/store.h"

namespace sutazai::batches {

namespace {

constexpr const char* kColumns =
    "number, tenant, output_expires_after_s, id, endpoint, completion_window, input_file, output_file, error_file, "
    "model, metadata, errors, status, created_at, in_progress_at, expires_at, finalizing_at, completed_at, failed_at, "
    "expired_at, cancelling_at, cancelled_at, total, completed, failed, input_tokens, cached_tokens, output_tokens, "
    "reasoning_tokens";

BatchRecord batch_of(SQLite::Statement& row) {
    int column = 0;
    const auto text = [&] { return row.getColumn(column++).getString(); };
    const auto number = [&] { return row.getColumn(column++).getInt64(); };
    BatchRecord out;
    out.number = number();
    out.tenant = text();
    out.output_expires_after_s = number();
    BatchObject& object = out.object;
    for (std::string* field :
         {&object.id, &object.endpoint, &object.completion_window, &object.input_file_id, &object.output_file_id,
          &object.error_file_id, &object.model, &object.metadata, &object.errors}) {
        *field = text();
    }
    object.status = static_cast<BatchStatus>(number());
    for (std::int64_t* field :
         {&object.created_at, &object.in_progress_at, &object.expires_at, &object.finalizing_at, &object.completed_at,
          &object.failed_at, &object.expired_at, &object.cancelling_at, &object.cancelled_at, &object.counts.total,
          &object.counts.completed, &object.counts.failed, &object.usage.input, &object.usage.cached,
          &object.usage.output, &object.usage.reasoning}) {
        *field = number();
    }
    return out;
}

Result<BatchRecord> find(SQLite::Database& database, const std::string& tenant, const std::string& id) {
    SQLite::Statement query(database, fmt::format("SELECT {} FROM batches WHERE id = ? AND tenant = ?", kColumns));
    query.bind(1, id);
    query.bind(2, tenant);
    if (!query.executeStep()) return fail(ErrorCode::kNotFound, "There is no such batch.", "batch_id");
    return batch_of(query);
}

int code(BatchStatus status) {
    return static_cast<int>(status);
}

/// Whether the batch was in `from`, and now is in `to` since `now`; `time` is the column of that.
bool move(SQLite::Database& database, std::int64_t batch, BatchStatus from, BatchStatus to, const char* time,
          UnixTime now) {
    SQLite::Statement update(
        database, fmt::format("UPDATE batches SET status = ?, {} = ? WHERE number = ? AND status = ?", time));
    update.bind(1, code(to));
    update.bind(2, now);
    update.bind(3, batch);
    update.bind(4, code(from));
    return update.exec() > 0;
}

void remove_lines(SQLite::Database& database, std::int64_t batch) {
    SQLite::Statement remove(database, "DELETE FROM lines WHERE batch = ?");
    remove.bind(1, batch);
    remove.exec();
}

void insert_file(SQLite::Database& database, std::int64_t batch, const FileObject& file) {
    SQLite::Statement insert(database,
                             "INSERT INTO files (id, tenant, filename, purpose, bytes, created_at, expires_at) "
                             "SELECT ?, tenant, ?, ?, ?, ?, ? FROM batches WHERE number = ?");
    insert.bind(1, file.id);
    insert.bind(2, file.filename);
    insert.bind(3, file.purpose);
    insert.bind(4, static_cast<std::int64_t>(file.bytes));
    insert.bind(5, file.created_unix_s);
    insert.bind(6, file.expires_unix_s);
    insert.bind(7, batch);
    insert.exec();
}

}  // namespace

Result<BatchRecord> Store::add_batch(const std::string& tenant, const api::openai::BatchOrder& order, UnixTime now) {
    const auto input = file(tenant, order.input_file_id, now);
    if (!input) {
        Error error = input.error();
        if (error.code == ErrorCode::kNotFound) error.field = "input_file_id";
        return std::unexpected(std::move(error));
    }
    if (input->purpose != api::openai::kBatchPurpose) {
        return fail(ErrorCode::kInvalidArgument, "The input file's purpose must be \"batch\".", "input_file_id");
    }
    return write("A batch cannot be recorded", [&](SQLite::Database& database) -> Result<BatchRecord> {
        const std::string id = new_id("batch_");
        // The file may have been deleted meanwhile.
        SQLite::Statement insert(database,
                                 "INSERT INTO batches (id, tenant, output_expires_after_s, endpoint, "
                                 "completion_window, input_file, metadata, status, created_at, expires_at) "
                                 "SELECT ?, ?, ?, ?, ?, id, ?, ?, ?, ? FROM files WHERE id = ? AND tenant = ?");
        insert.bind(1, id);
        insert.bind(2, tenant);
        insert.bind(3, order.output_expires_after_s);
        insert.bind(4, std::string(to_string(order.endpoint)));
        insert.bind(5, order.completion_window);
        insert.bind(6, order.metadata);
        insert.bind(7, code(BatchStatus::kValidating));
        insert.bind(8, now);
        insert.bind(9, now + order.window_s);
        insert.bind(10, order.input_file_id);
        insert.bind(11, tenant);
        if (insert.exec() == 0) return fail(ErrorCode::kNotFound, "There is no such file.", "input_file_id");
        return find(database, tenant, id);
    });
}

Result<BatchRecord> Store::batch(const std::string& tenant, const std::string& id) {
    return read("A batch cannot be looked up", [&](SQLite::Database& database) { return find(database, tenant, id); });
}

Result<Page<BatchObject>> Store::batches(const std::string& tenant, const api::openai::ListQuery& query) {
    return read("Batches cannot be listed", [&](SQLite::Database& database) -> Result<Page<BatchObject>> {
        std::int64_t before = 0;
        if (!query.after.empty()) {
            const auto last = find(database, tenant, query.after);
            if (!last) return fail(ErrorCode::kInvalidArgument, "after must be the id of a batch.", "after");
            before = last->number;
        }
        SQLite::Statement select(database,
                                 fmt::format("SELECT {} FROM batches WHERE tenant = ? AND (? = 0 OR number < ?) "
                                             "ORDER BY number DESC LIMIT ?",
                                             kColumns));
        select.bind(1, tenant);
        select.bind(2, before);
        select.bind(3, before);
        select.bind(4, query.limit + 1);
        Page<BatchObject> page;
        while (select.executeStep()) {
            page.has_more = page.items.size() == static_cast<std::size_t>(query.limit);
            if (page.has_more) break;
            page.items.push_back(batch_of(select).object);
        }
        return page;
    });
}

Result<BatchRecord> Store::cancel(const std::string& tenant, const std::string& id, UnixTime now) {
    return write("A batch cannot be cancelled", [&](SQLite::Database& database) -> Result<BatchRecord> {
        const auto found = find(database, tenant, id);
        if (!found) return found;
        const BatchStatus status = found->object.status;
        if (status == BatchStatus::kCancelling) return found;
        if (status != BatchStatus::kValidating && status != BatchStatus::kInProgress) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("A batch that is {} cannot be cancelled.", to_string(status)), "batch_id");
        }
        move(database, found->number, status, BatchStatus::kCancelling, "cancelling_at", now);
        return find(database, tenant, id);
    });
}

Result<void> Store::remove_batches_before(UnixTime ended_before) {
    return write("Old batches cannot be removed", [&](SQLite::Database& database) -> Result<void> {
        SQLite::Statement remove(database,
                                 "DELETE FROM batches WHERE status NOT IN (0, 1, 2, 6) AND "
                                 "MAX(completed_at, failed_at, expired_at, cancelled_at) < ?");
        remove.bind(1, ended_before);
        remove.exec();
        return {};
    });
}

Result<std::vector<BatchRecord>> Store::unfinished() {
    return read("Batches cannot be listed", [](SQLite::Database& database) -> Result<std::vector<BatchRecord>> {
        SQLite::Statement select(
            database, fmt::format("SELECT {} FROM batches WHERE status IN (0, 1, 2, 6) ORDER BY number", kColumns));
        std::vector<BatchRecord> out;
        while (select.executeStep()) out.push_back(batch_of(select));
        return out;
    });
}

Result<BatchStatus> Store::status(std::int64_t batch) {
    return read("A batch cannot be looked up", [&](SQLite::Database& database) -> Result<BatchStatus> {
        SQLite::Statement query(database, "SELECT status FROM batches WHERE number = ?");
        query.bind(1, batch);
        if (!query.executeStep()) return fail(ErrorCode::kNotFound, "There is no such batch.", "batch_id");
        return static_cast<BatchStatus>(query.getColumn(0).getInt());
    });
}

Result<bool> Store::begin_work(std::int64_t batch, UnixTime now) {
    return write("A batch cannot be begun", [&](SQLite::Database& database) -> Result<bool> {
        if (!move(database, batch, BatchStatus::kValidating, BatchStatus::kInProgress, "in_progress_at", now)) {
            return false;
        }
        SQLite::Statement count(database,
                                "UPDATE batches SET total = counted.n, model = counted.model FROM (SELECT COUNT(*) AS "
                                "n, CASE WHEN MIN(model) = MAX(model) THEN MIN(model) ELSE '' END AS model FROM lines "
                                "WHERE batch = ?1) AS counted WHERE number = ?1");
        count.bind(1, batch);
        count.exec();
        return true;
    });
}

Result<bool> Store::refuse(std::int64_t batch, std::span<const BatchError> errors, UnixTime now) {
    return write("A batch cannot be refused", [&](SQLite::Database& database) -> Result<bool> {
        if (!move(database, batch, BatchStatus::kValidating, BatchStatus::kFailed, "failed_at", now)) return false;
        SQLite::Statement update(database, "UPDATE batches SET errors = ? WHERE number = ?");
        update.bind(1, api::openai::encode_batch_errors(errors));
        update.bind(2, batch);
        update.exec();
        remove_lines(database, batch);
        return true;
    });
}

Result<bool> Store::begin_finalizing(std::int64_t batch, UnixTime now) {
    return write("A batch cannot be finalized", [&](SQLite::Database& database) -> Result<bool> {
        return move(database, batch, BatchStatus::kInProgress, BatchStatus::kFinalizing, "finalizing_at", now);
    });
}

Result<bool> Store::end(std::int64_t batch, BatchStatus end, const std::optional<FileObject>& output,
                        const std::optional<FileObject>& errors, UnixTime now) {
    return write("A batch cannot be ended", [&](SQLite::Database& database) -> Result<bool> {
        const char* time = end == BatchStatus::kCompleted ? "completed_at"
                           : end == BatchStatus::kExpired ? "expired_at"
                                                          : "cancelled_at";
        SQLite::Statement update(database,
                                 fmt::format("UPDATE batches SET status = ?, {} = ?, output_file = ?, error_file = ? "
                                             "WHERE number = ? AND status IN (0, 1, 2, 6)",
                                             time));
        update.bind(1, code(end));
        update.bind(2, now);
        update.bind(3, output ? output->id : std::string());
        update.bind(4, errors ? errors->id : std::string());
        update.bind(5, batch);
        if (update.exec() == 0) return false;
        if (output) insert_file(database, batch, *output);
        if (errors) insert_file(database, batch, *errors);
        remove_lines(database, batch);
        return true;
    });
}

}  // namespace sutazai::batches
