#include <string>
#include <utility>

#include "batches/store.h"

namespace sutazai::batches {

namespace {

void bind_blob(SQLite::Statement& statement, int index, const std::string& bytes) {
    statement.bind(index, bytes.data(), static_cast<int>(bytes.size()));
}

std::string blob_of(const SQLite::Column& column) {
    return {static_cast<const char*>(column.getBlob()), static_cast<std::size_t>(column.getBytes())};
}

}  // namespace

Result<void> Store::begin_lines(std::int64_t batch) {
    return write("A batch cannot be read", [&](SQLite::Database& database) -> Result<void> {
        SQLite::Statement remove(database, "DELETE FROM lines WHERE batch = ?");
        remove.bind(1, batch);
        remove.exec();
        return {};
    });
}

Result<std::vector<LineRecord>> Store::add_lines(std::int64_t batch, std::span<const LineRecord> lines) {
    return write("A batch cannot be read", [&](SQLite::Database& database) -> Result<std::vector<LineRecord>> {
        SQLite::Statement insert(database,
                                 "INSERT OR IGNORE INTO lines (batch, number, custom_id, model, sort_key, at, bytes) "
                                 "VALUES (?, ?, ?, ?, ?, ?, ?)");
        std::vector<LineRecord> refused;
        for (const LineRecord& line : lines) {
            insert.reset();
            insert.bind(1, batch);
            insert.bind(2, line.number);
            insert.bind(3, line.custom_id);
            insert.bind(4, line.model);
            bind_blob(insert, 5, line.sort_key);
            insert.bind(6, static_cast<std::int64_t>(line.offset));
            insert.bind(7, static_cast<std::int64_t>(line.bytes));
            if (insert.exec() == 0) refused.push_back(line);
        }
        return refused;
    });
}

Result<std::vector<LineRecord>> Store::open_lines(std::int64_t batch, const LineRecord* after, int most) {
    return read("A batch cannot be read", [&](SQLite::Database& database) -> Result<std::vector<LineRecord>> {
        const std::string behind = after == nullptr ? "" : "AND (model, sort_key, number) > (?3, ?4, ?5) ";
        SQLite::Statement select(database,
                                 "SELECT number, custom_id, model, sort_key, at, bytes FROM lines WHERE batch = ?1 "
                                 "AND outcome = 0 " +
                                     behind + "ORDER BY model, sort_key, number LIMIT ?2");
        select.bind(1, batch);
        select.bind(2, most);
        if (after != nullptr) {
            select.bind(3, after->model);
            bind_blob(select, 4, after->sort_key);
            select.bind(5, after->number);
        }
        std::vector<LineRecord> out;
        while (select.executeStep()) {
            LineRecord line;
            line.number = select.getColumn(0).getInt64();
            line.custom_id = select.getColumn(1).getString();
            line.model = select.getColumn(2).getString();
            line.sort_key = blob_of(select.getColumn(3));
            line.offset = static_cast<std::uint64_t>(select.getColumn(4).getInt64());
            line.bytes = static_cast<std::uint64_t>(select.getColumn(5).getInt64());
            out.push_back(std::move(line));
        }
        return out;
    });
}

Result<std::int64_t> Store::add_results(std::int64_t batch, std::span<const LineResult> results) {
    return write("Results cannot be recorded", [&](SQLite::Database& database) -> Result<std::int64_t> {
        SQLite::Statement update(database,
                                 "UPDATE lines SET outcome = ?, result_at = ?, result_bytes = ? "
                                 "WHERE batch = ? AND number = ? AND outcome = 0");
        BatchCounts counts;
        BatchUsage usage;
        for (const LineResult& result : results) {
            update.reset();
            update.bind(1, result.succeeded ? 1 : 2);
            update.bind(2, static_cast<std::int64_t>(result.offset));
            update.bind(3, static_cast<std::int64_t>(result.bytes));
            update.bind(4, batch);
            update.bind(5, result.number);
            if (update.exec() == 0) continue;
            ++(result.succeeded ? counts.completed : counts.failed);
            usage.add(result.usage);
        }
        SQLite::Statement count(database,
                                "UPDATE batches SET completed = completed + ?, failed = failed + ?, input_tokens = "
                                "input_tokens + ?, cached_tokens = cached_tokens + ?, output_tokens = output_tokens + "
                                "?, reasoning_tokens = reasoning_tokens + ? WHERE number = ?");
        int index = 0;
        for (const std::int64_t more :
             {counts.completed, counts.failed, usage.input, usage.cached, usage.output, usage.reasoning}) {
            count.bind(++index, more);
        }
        count.bind(++index, batch);
        count.exec();
        return counts.completed + counts.failed;
    });
}

Result<std::vector<LineOutcome>> Store::outcomes(std::int64_t batch, std::int64_t after_number, int most) {
    return read("A batch cannot be read", [&](SQLite::Database& database) -> Result<std::vector<LineOutcome>> {
        SQLite::Statement select(database,
                                 "SELECT number, custom_id, outcome, result_at, result_bytes FROM lines WHERE batch = "
                                 "? AND number > ? ORDER BY number LIMIT ?");
        select.bind(1, batch);
        select.bind(2, after_number);
        select.bind(3, most);
        std::vector<LineOutcome> out;
        while (select.executeStep()) {
            LineOutcome line;
            line.number = select.getColumn(0).getInt64();
            line.custom_id = select.getColumn(1).getString();
            const int outcome = select.getColumn(2).getInt();
            line.answered = outcome != 0;
            line.result = {line.number, outcome == 1, static_cast<std::uint64_t>(select.getColumn(3).getInt64()),
                           static_cast<std::uint64_t>(select.getColumn(4).getInt64())};
            out.push_back(std::move(line));
        }
        return out;
    });
}

}  // namespace sutazai::batches
