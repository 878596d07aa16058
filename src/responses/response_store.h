#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "database/database.h"

/// Responses of OpenAI's Responses API that are kept.
namespace sutazai::responses {

/// One response as it is kept. What is JSON here is text to the store.
struct Record {
    std::string id;
    std::string tenant = {};    ///< whose it is; nobody else finds it
    std::string previous = {};  ///< id of the one that it goes on from; empty: none
    std::string status = {};
    bool open = false;        ///< is being made, or is to be
    bool background = false;  ///< goes on, or begins again, when the server starts again
    bool streams = false;     ///< its events are kept, too
    bool admin = false;       ///< was asked for by an administrator
    int tries = 0;            ///< how often it was begun
    std::int64_t created_unix_s = 0;
    std::string input = {};    ///< items, a JSON array
    std::string body = {};     ///< the response, a JSON object
    std::string request = {};  ///< the body that asked for it; of an open background response
    std::string events = {};   ///< Server-Sent Events; of one that has ended and streams

    bool operator==(const Record&) const = default;
};

struct Limits {
    std::int64_t retention_s = 0;  ///< from its last use on; 0: nothing is kept
    std::uint64_t most_bytes = 0;  ///< of all texts together
};

/// One SQLite file in `folder`, for one server at a time. What was not used for the retention is deleted, and so is
/// what was used longest ago when there is too much; open responses stay. A response is used when it is made and when
/// another goes on from it, or from one behind it. Opened at the first use, and tried again for as long as it cannot
/// be: kUnavailable then. Blocks on the disk; one thread. `now` is in Unix seconds.
class ResponseStore {
  public:
    ResponseStore(const std::filesystem::path& folder, Limits limits);

    [[nodiscard]] const std::filesystem::path& file() const { return file_; }

    /// Can it be opened?
    [[nodiscard]] Result<void> check(std::int64_t now) { return open(now); }
    /// A new one. kPayloadTooLarge for one that is larger than all may be together.
    [[nodiscard]] Result<void> add(const Record& record, std::int64_t now);
    /// Status, open, tries, body, request and events anew. False when it has been deleted meanwhile.
    [[nodiscard]] Result<bool> update(const Record& record, std::int64_t now);
    [[nodiscard]] Result<std::optional<Record>> find(std::string_view tenant, std::string_view id, std::int64_t now,
                                                     bool with_events = false);
    /// The response and those that it goes on from, the oldest first; input and body are what they have. Each is used
    /// now. kNotFound where one is not there, kInvalidArgument for more than `most_bytes`.
    [[nodiscard]] Result<std::vector<Record>> chain(std::string_view tenant, std::string_view id,
                                                    std::uint64_t most_bytes, std::int64_t now);
    /// False when there is none.
    [[nodiscard]] Result<bool> remove(std::string_view tenant, std::string_view id, std::int64_t now);
    /// Those that are open, the oldest first, without input. Nothing, and no file is made, when there is none.
    [[nodiscard]] Result<std::vector<Record>> open_ones(std::int64_t now);
    /// Deletes what has been kept for long enough, if there is a file.
    [[nodiscard]] Result<void> expire(std::int64_t now);

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    [[nodiscard]] Result<void> open(std::int64_t now);
    [[nodiscard]] Result<void> make_room(std::int64_t now);
    [[nodiscard]] Result<void> free(Result<std::uint64_t> bytes);

    std::filesystem::path file_;
    std::filesystem::path lock_file_;
    Limits limits_;
    std::unique_ptr<FolderLock> lock_;
    std::unique_ptr<database::Database> database_;
    std::optional<Error> failure_;  // of the last try to open it
    std::int64_t retry_at_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace sutazai::responses
