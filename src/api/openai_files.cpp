#include "api/openai_files.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <optional>

#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 2> kPurposes{kBatchPurpose, "user_data"};

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

json::object file_json(const FileObject& file) {
    json::object out{{"id", file.id},
                     {"object", "file"},
                     {"bytes", file.bytes},
                     {"created_at", file.created_unix_s},
                     {"expires_at", nullptr},
                     {"filename", file.filename},
                     {"purpose", file.purpose},
                     {"status", "processed"},
                     {"status_details", nullptr}};
    if (file.expires_unix_s > 0) out["expires_at"] = file.expires_unix_s;
    return out;
}

}  // namespace

Result<FileForm> read_file_form(std::span<const FormField> fields) {
    FileForm form;
    std::string anchor;
    for (const FormField& field : fields) {
        if (field.name == "purpose") {
            form.purpose = field.value;
        } else if (field.name == "expires_after[anchor]") {
            anchor = field.value;
        } else if (field.name == "expires_after[seconds]") {
            const auto seconds = whole_number(field.value);
            if (!seconds || *seconds < kLeastExpiryS || *seconds > kMostExpiryS) {
                return fail(ErrorCode::kInvalidArgument,
                            fmt::format("expires_after[seconds] must be a whole number between {} and {}.",
                                        kLeastExpiryS, kMostExpiryS),
                            "expires_after[seconds]");
            }
            form.expires_after_s = *seconds;
        } else {
            return fail(ErrorCode::kInvalidArgument,
                        "The form has a field that is not known here; it may hold file, purpose, "
                        "expires_after[anchor] and expires_after[seconds].");
        }
    }
    if (form.purpose.empty()) return fail(ErrorCode::kInvalidArgument, "purpose is missing.", "purpose");
    if (form.purpose != kPurposes[0] && form.purpose != kPurposes[1]) {
        return fail(ErrorCode::kInvalidArgument, "purpose must be \"batch\" or \"user_data\".", "purpose");
    }
    if (!anchor.empty() && anchor != "created_at") {
        return fail(ErrorCode::kInvalidArgument, "expires_after[anchor] must be \"created_at\".",
                    "expires_after[anchor]");
    }
    if (anchor.empty() != (form.expires_after_s == 0)) {
        return fail(ErrorCode::kInvalidArgument, "expires_after needs both, anchor and seconds.", "expires_after");
    }
    return form;
}

Result<ListQuery> read_list_query(std::span<const std::pair<std::string, std::string>> query, int default_limit,
                                  int most, bool of_files) {
    ListQuery out;
    out.limit = default_limit;
    for (const auto& [name, value] : query) {
        if (name == "after") {
            out.after = value;
        } else if (name == "limit") {
            const auto limit = whole_number(value);
            if (!limit || *limit < 1 || *limit > most) {
                return fail(ErrorCode::kInvalidArgument,
                            fmt::format("limit must be a whole number between 1 and {}.", most), "limit");
            }
            out.limit = static_cast<int>(*limit);
        } else if (name == "order" && of_files) {
            if (value != "asc" && value != "desc") {
                return fail(ErrorCode::kInvalidArgument, "order must be \"asc\" or \"desc\".", "order");
            }
            out.ascending = value == "asc";
        } else if (name == "purpose" && of_files) {
            out.purpose = value;
        }
    }
    return out;
}

std::string encode_file(const FileObject& file) {
    return to_json(file_json(file));
}

std::string encode_files(std::span<const FileObject> files, bool has_more) {
    json::array list;
    for (const FileObject& file : files) list.push_back(file_json(file));
    json::object out{{"object", "list"}, {"data", std::move(list)}};
    out["first_id"] = files.empty() ? json::value() : json::value(files.front().id);
    out["last_id"] = files.empty() ? json::value() : json::value(files.back().id);
    out["has_more"] = has_more;
    return to_json(out);
}

std::string encode_deleted_file(std::string_view id) {
    return to_json(json::object{{"id", id}, {"object", "file"}, {"deleted", true}});
}

}  // namespace sutazai::api::openai
