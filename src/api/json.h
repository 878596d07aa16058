#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Reading requests: JSON text to typed fields with ranges. Pure.
namespace sutazai::api {

inline constexpr std::size_t kMaxJsonDepth = 32;

/// The body as an object. kInvalidArgument when it is no JSON, no object, nests deeper than kMaxJsonDepth or holds
/// invalid UTF-8. Of what is no JSON the message gives the byte offset, from 0; a byte order mark counts.
[[nodiscard]] Result<boost::json::object> parse_object(std::string_view body);

/// The kind of a value in words: "a string", "null" and so on.
[[nodiscard]] const char* kind_of(const boost::json::value& value);

/// Whether a field asks for nothing, in the ways that clients leave one empty: not there, null, "" or [].
[[nodiscard]] bool is_absent(const boost::json::value* field);

/// What a number may be. Both ends count, unless `above_min`.
struct Range {
    double min;
    double max;
    bool above_min = false;  ///< min itself is not allowed
};

/// Reads the fields of one object into typed variables. A field that is absent or null leaves its variable as it is.
/// Fields nobody reads are for unsupported.h. The first thing wrong is kept in the error that readers of nested objects
/// share, and later reads do nothing; so read everything, then ask for the error once.
class FieldReader {
  public:
    /// `path` is put before each name in errors, for example "messages[2].". `object` and `error` must outlive this.
    FieldReader(const boost::json::object& object, std::optional<Error>& error, std::string path = {});

    void number(std::string_view name, Range range, float& out);
    /// Whole numbers only, but 5.0 is one.
    void integer(std::string_view name, std::int64_t min, std::int64_t max, std::int64_t& out);
    void integer(std::string_view name, std::int64_t min, std::int64_t max, int& out);
    void boolean(std::string_view name, bool& out);
    void string(std::string_view name, std::string& out);

    /// The field's value; null pointer when it is absent or null, or when an error has already been found.
    [[nodiscard]] const boost::json::value* find(std::string_view name) const;

    /// The same for a field that is about to be refused unless it asks for nothing.
    [[nodiscard]] const boost::json::value* find_unsupported(std::string_view name) const;

    /// Whether somebody has looked for the field.
    [[nodiscard]] bool has_read(std::string_view name) const;

    /// The first field with a value that nobody has looked for and that `passes` does not take; nothing when an error
    /// has already been found.
    [[nodiscard]] std::optional<std::string> first_unread(const std::function<bool(std::string_view)>& passes) const;

    /// Records kInvalidArgument with the message "<path><name> <what>", unless there is an error already.
    void refuse(std::string_view name, std::string_view what);

    [[nodiscard]] std::string path_of(std::string_view name) const;
    [[nodiscard]] bool failed() const { return error_.has_value(); }
    [[nodiscard]] std::optional<Error>& error() { return error_; }

  private:
    void note(std::string_view name, std::string_view type, double min = 0, double max = 0, bool above_min = false);

    const boost::json::object& object_;
    std::optional<Error>& error_;
    std::string path_;
    mutable std::vector<std::string> read_;  ///< names that were looked for
};

/// What is known of a field that a parser takes.
struct FieldNote {
    std::string type = {};  ///< of JSON Schema; empty: the parser looks at the value itself
    double min = 0;         ///< of numbers, as max
    double max = 0;
    bool above_min = false;
};

/// While one lives, it is told of each field that a FieldReader of its thread looks for: that is how the description of
/// the API (docs/openapi.json) is held against the parsers. One at a time.
class FieldRecorder {
  public:
    FieldRecorder();
    ~FieldRecorder();
    FieldRecorder(const FieldRecorder&) = delete;
    FieldRecorder& operator=(const FieldRecorder&) = delete;

    /// By paths without numbers, as in "messages[].content[].text".
    [[nodiscard]] const std::map<std::string, FieldNote>& fields() const { return fields_; }
    void note(std::string_view path, const FieldNote& note);

  private:
    std::map<std::string, FieldNote> fields_;
};

}  // namespace sutazai::api
