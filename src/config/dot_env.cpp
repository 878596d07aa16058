#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "config/settings.h"
#include "config/value_parsers.h"

namespace sutazai::config {
namespace {

bool is_name_character(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_name(std::string_view text) {
    return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && std::ranges::all_of(text, is_name_character);
}

/// What follows the closing quote may only be a comment.
bool is_comment_or_blank(std::string_view rest) {
    const std::string_view trimmed = trim(rest);
    return trimmed.empty() || trimmed[0] == '#';
}

/// The value after '='; nullopt when its quotes do not match up.
std::optional<std::string> read_value(std::string_view text) {
    text = trim(text);
    if (text.empty()) return std::string();
    const char quote = text[0];
    if (quote != '"' && quote != '\'') {
        // A '#' within a word belongs to the value, as in a URL's fragment.
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t')) text = text.substr(0, i);
        }
        return std::string(trim(text));
    }
    std::string value;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == quote) {
            if (!is_comment_or_blank(text.substr(i + 1))) return std::nullopt;
            return value;
        }
        if (quote == '"' && text[i] == '\\' && i + 1 < text.size()) {
            ++i;
            value += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i];
        } else {
            value += text[i];
        }
    }
    return std::nullopt;
}

}  // namespace

Result<std::map<std::string, std::string>> parse_dot_env(std::string_view text) {
    // What editors on Windows put in front.
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
        return fail(ErrorCode::kInvalidArgument, "the file .env is UTF-16; save it as UTF-8", ".env");
    }
    std::map<std::string, std::string> values;
    std::map<std::string, int> lines;
    for (int number = 1; !text.empty(); ++number) {
        const auto newline = text.find('\n');
        std::string_view line = trim(text.substr(0, newline));
        text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
        if (line.empty() || line[0] == '#') continue;

        if (line.starts_with("export ") || line.starts_with("export\t")) line = trim(line.substr(7));
        const auto equals = line.find('=');
        const std::string name(trim(line.substr(0, equals)));
        // The line itself is not quoted: it may hold a key.
        if (equals == std::string_view::npos || !is_name(name)) {
            return fail(
                ErrorCode::kInvalidArgument,
                fmt::format(".env line {}: expected NAME=value, a comment that starts with '#', or nothing", number));
        }
        const auto value = read_value(line.substr(equals + 1));
        if (!value) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format(".env line {}: the quotes of {} do not match up", number, name), name);
        }
        const auto [earlier, is_new] = lines.emplace(name, number);
        if (!is_new) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format(".env line {}: {} is already set on line {}", number, name, earlier->second), name);
        }
        values.emplace(name, *value);
    }
    return values;
}

}  // namespace sutazai::config
