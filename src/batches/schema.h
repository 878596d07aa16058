#pragma once

#include <array>

/// The tables. A released step is never changed: a new one is put behind it.
namespace sutazai::batches {

inline constexpr std::array<const char*, 1> kSchemaSteps{R"(
CREATE TABLE files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL            -- 0: never
);
CREATE TABLE batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    output_expires_after_s INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    completion_window TEXT NOT NULL,
    input_file TEXT NOT NULL,
    output_file TEXT NOT NULL DEFAULT '',
    error_file TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    metadata TEXT NOT NULL,
    errors TEXT NOT NULL DEFAULT '',
    status INTEGER NOT NULL,               -- api::openai::BatchStatus
    created_at INTEGER NOT NULL,
    in_progress_at INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL,
    finalizing_at INTEGER NOT NULL DEFAULT 0,
    completed_at INTEGER NOT NULL DEFAULT 0,
    failed_at INTEGER NOT NULL DEFAULT 0,
    expired_at INTEGER NOT NULL DEFAULT 0,
    cancelling_at INTEGER NOT NULL DEFAULT 0,
    cancelled_at INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX batches_unfinished ON batches (number) WHERE status IN (0, 1, 2, 6);
CREATE TABLE lines (
    batch INTEGER NOT NULL REFERENCES batches (number),
    number INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    model TEXT NOT NULL,
    sort_key BLOB NOT NULL,
    at INTEGER NOT NULL,                   -- in the input file
    bytes INTEGER NOT NULL,
    outcome INTEGER NOT NULL DEFAULT 0,    -- 0: none, 1: it succeeded, 2: it failed
    result_at INTEGER NOT NULL DEFAULT 0,  -- in the file of results
    result_bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX lines_by_custom_id ON lines (batch, custom_id);
CREATE INDEX lines_to_run ON lines (batch, model, sort_key, number) WHERE outcome = 0;
)"};

}  // namespace sutazai::batches
