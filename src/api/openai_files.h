#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

/// OpenAI's /v1/files: what is said of files, not what is in them. Pure.
namespace sutazai::api::openai {

struct FileObject {
    std::string id;  ///< "file-..."
    std::string filename;
    std::string purpose;
    std::uint64_t bytes = 0;
    std::int64_t created_unix_s = 0;
    std::int64_t expires_unix_s = 0;  ///< 0: it stays until it is deleted

    bool operator==(const FileObject&) const = default;
};

inline constexpr std::string_view kBatchPurpose = "batch";
inline constexpr std::string_view kBatchOutputPurpose = "batch_output";

/// What stands around a file in the form that uploads it.
struct FileForm {
    std::string purpose;
    std::int64_t expires_after_s = 0;  ///< 0: the form does not say
};
/// One field of the form. kInvalidArgument for a field that there is not.
struct FormField {
    std::string name, value;
};
/// All fields but the file. kInvalidArgument names the one that is wrong or missing. A purpose is "batch" or
/// "user_data".
[[nodiscard]] Result<FileForm> read_file_form(std::span<const FormField> fields);

/// 1 hour to 30 days, as OpenAI has it.
inline constexpr std::int64_t kLeastExpiryS = 3600;
inline constexpr std::int64_t kMostExpiryS = 2592000;

/// Which part of a list is wanted.
struct ListQuery {
    std::string after;    ///< the id of the last one that is known; empty: from the beginning
    std::string purpose;  ///< of files; empty: all
    int limit = 0;
    bool ascending = false;  ///< oldest first
};
/// Of a URL's query, decoded. `most` is the limit's highest value; the names `purpose` and `order` are known to lists
/// of files only.
[[nodiscard]] Result<ListQuery> read_list_query(std::span<const std::pair<std::string, std::string>> query,
                                                int default_limit, int most, bool of_files);

[[nodiscard]] std::string encode_file(const FileObject& file);
[[nodiscard]] std::string encode_files(std::span<const FileObject> files, bool has_more);
[[nodiscard]] std::string encode_deleted_file(std::string_view id);

}  // namespace sutazai::api::openai
