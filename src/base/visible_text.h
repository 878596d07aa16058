#pragma once

#include <string>
#include <string_view>

/// Texts of somebody's, names of files above all, for terminals and logs. Pure; any thread.
namespace sutazai {

/// Without anything that moves the cursor, ends the line or turns text around: control characters as \n, \x1b and so
/// on, the marks of line ends and of writing directions as \u202e. What is not UTF-8 becomes U+FFFD.
[[nodiscard]] std::string visible(std::string_view text);

/// The same within a JSON document, all of whose escapes are JSON's own: it still says what it said.
[[nodiscard]] std::string visible_json(std::string_view json);

}  // namespace sutazai
