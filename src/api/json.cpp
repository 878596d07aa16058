#include "api/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/parser.hpp>
#include <cmath>

namespace sutazai::api {

namespace json = boost::json;

Result<json::object> parse_object(std::string_view body) {
    // RFC 8259 lets a parser pass over a byte order mark, and clients on Windows send one.
    const std::size_t mark_bytes = body.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    body.remove_prefix(mark_bytes);
    if (body.starts_with("\xFF\xFE") || body.starts_with("\xFE\xFF")) {
        return fail(ErrorCode::kInvalidArgument, "The body is UTF-16; JSON is sent as UTF-8.");
    }
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    std::array<unsigned char, BOOST_JSON_STACK_BUFFER_SIZE> stack{};
    json::parser parser({}, options, stack.data(), stack.size());
    json::error_code failure;
    const std::size_t offset = mark_bytes + parser.write(body.data(), body.size(), failure);
    if (failure == json::error::too_deep) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("The body nests deeper than {} levels.", kMaxJsonDepth));
    }
    if (failure) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("The body is not valid JSON: {} at byte offset {}.", failure.message(), offset));
    }
    json::value value = parser.release();
    if (!value.is_object()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("The body must be a JSON object (got {}).", kind_of(value)));
    }
    return std::move(value.get_object());
}

const char* kind_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return "null";
        case json::kind::bool_: return "a boolean";
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_: return "a number";
        case json::kind::string: return "a string";
        case json::kind::array: return "an array";
        case json::kind::object: return "an object";
    }
    return "something else";
}

namespace {

std::string to_text(const json::value& number) {
    if (const auto* whole = number.if_int64()) return fmt::to_string(*whole);
    if (const auto* whole = number.if_uint64()) return fmt::to_string(*whole);
    return fmt::to_string(number.get_double());
}

/// The number as an int64, if it is whole and is one.
std::optional<std::int64_t> to_whole(const json::value& number) {
    if (const auto* whole = number.if_int64()) return *whole;
    if (number.is_uint64()) return std::nullopt;  // Boost uses it only for what int64 does not hold
    constexpr double kLimit = 9223372036854775808.0;
    const double value = number.get_double();
    if (std::trunc(value) != value || value < -kLimit || value >= kLimit) return std::nullopt;
    return static_cast<std::int64_t>(value);
}

bool is_whole(const json::value& number) {
    return !number.is_double() || std::trunc(number.get_double()) == number.get_double();
}

}  // namespace

namespace {

// The parsers know nothing of it, and hand nothing down to where a field is read.
thread_local FieldRecorder* t_recorder = nullptr;

/// Without what is between brackets.
std::string without_numbers(std::string_view path) {
    std::string out;
    bool inside = false;
    for (const char c : path) {
        if (c == ']') inside = false;
        if (!inside) out += c;
        if (c == '[') inside = true;
    }
    return out;
}

}  // namespace

FieldRecorder::FieldRecorder() {
    t_recorder = this;
}

FieldRecorder::~FieldRecorder() {
    t_recorder = nullptr;
}

void FieldRecorder::note(std::string_view path, const FieldNote& note) {
    FieldNote& known = fields_[without_numbers(path)];
    if (!note.type.empty()) known = note;
}

bool is_absent(const json::value* field) {
    return field == nullptr || field->is_null() || (field->is_array() && field->get_array().empty()) ||
           (field->is_string() && field->get_string().empty());
}

FieldReader::FieldReader(const json::object& object, std::optional<Error>& error, std::string path)
    : object_(object), error_(error), path_(std::move(path)) {}

const json::value* FieldReader::find(std::string_view name) const {
    if (t_recorder != nullptr) t_recorder->note(path_of(name), {});
    return find_unsupported(name);
}

const json::value* FieldReader::find_unsupported(std::string_view name) const {
    if (error_) return nullptr;
    if (!has_read(name)) read_.emplace_back(name);
    const json::value* value = object_.if_contains(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

bool FieldReader::has_read(std::string_view name) const {
    return std::ranges::find(read_, name) != read_.end();
}

std::optional<std::string> FieldReader::first_unread(const std::function<bool(std::string_view)>& passes) const {
    if (error_) return std::nullopt;
    for (const auto& [key, value] : object_) {
        const std::string_view name = key;
        if (!value.is_null() && !has_read(name) && !passes(name)) return std::string(name);
    }
    return std::nullopt;
}

std::string FieldReader::path_of(std::string_view name) const {
    return path_ + std::string(name);
}

void FieldReader::refuse(std::string_view name, std::string_view what) {
    if (error_) return;
    std::string field = path_of(name);
    std::string message = fmt::format("{} {}", field, what);
    error_ = Error{ErrorCode::kInvalidArgument, std::move(message), std::move(field)};
}

void FieldReader::note(std::string_view name, std::string_view type, double min, double max, bool above_min) {
    if (t_recorder != nullptr) t_recorder->note(path_of(name), {std::string(type), min, max, above_min});
}

void FieldReader::number(std::string_view name, Range range, float& out) {
    note(name, "number", range.min, range.max, range.above_min);
    const json::value* value = find(name);
    if (value == nullptr) return;
    if (!value->is_number()) return refuse(name, fmt::format("must be a number (got {})", kind_of(*value)));
    // Ranges are checked after rounding to float: a tiny top_p that rounds to 0 is as wrong as 0.
    const auto number = static_cast<float>(value->to_number<double>());
    const bool in_range =
        number <= static_cast<float>(range.max) &&
        (range.above_min ? number > static_cast<float>(range.min) : number >= static_cast<float>(range.min));
    if (in_range) {
        out = number;
    } else if (range.above_min) {
        refuse(name, fmt::format("must be above {} and at most {} (got {})", range.min, range.max, to_text(*value)));
    } else {
        refuse(name, fmt::format("must be between {} and {} (got {})", range.min, range.max, to_text(*value)));
    }
}

void FieldReader::integer(std::string_view name, std::int64_t min, std::int64_t max, std::int64_t& out) {
    note(name, "integer", static_cast<double>(min), static_cast<double>(max));
    const json::value* value = find(name);
    if (value == nullptr) return;
    if (!value->is_number()) return refuse(name, fmt::format("must be a whole number (got {})", kind_of(*value)));
    if (!is_whole(*value)) return refuse(name, fmt::format("must be a whole number (got {})", to_text(*value)));
    const std::optional<std::int64_t> whole = to_whole(*value);
    if (!whole || *whole < min || *whole > max) {
        return refuse(name, fmt::format("must be between {} and {} (got {})", min, max, to_text(*value)));
    }
    out = *whole;
}

void FieldReader::integer(std::string_view name, std::int64_t min, std::int64_t max, int& out) {
    std::int64_t wide = out;
    integer(name, min, max, wide);
    out = static_cast<int>(wide);
}

void FieldReader::boolean(std::string_view name, bool& out) {
    note(name, "boolean");
    const json::value* value = find(name);
    if (value == nullptr) return;
    if (!value->is_bool()) return refuse(name, fmt::format("must be true or false (got {})", kind_of(*value)));
    out = value->get_bool();
}

void FieldReader::string(std::string_view name, std::string& out) {
    note(name, "string");
    const json::value* value = find(name);
    if (value == nullptr) return;
    if (!value->is_string()) return refuse(name, fmt::format("must be a string (got {})", kind_of(*value)));
    out = std::string_view(value->get_string());
}

}  // namespace sutazai::api
