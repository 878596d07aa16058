#include "text/multipart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

namespace sutazai::text {

namespace {

constexpr std::size_t kMostNameBytes = 255;
constexpr std::string_view kLineEnd = "\r\n";

std::unexpected<Error> broken(std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("The body is not valid multipart/form-data: {}.", what));
}

bool same_letters(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t";
    const std::size_t first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// `%22`, `%0D` and `%0A` are what HTML's forms write for the three characters that a name cannot hold.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::string_view code = text.substr(i, 3);
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
            out += text[++i];
        } else if (code == "%22") {
            out += '"';
            i += 2;
        } else if (same_letters(code, "%0d") || same_letters(code, "%0a")) {
            out += ' ';
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

/// A parameter behind a header's value: `; name="value"`. Takes it off `rest`; nothing at the end, or when there is
/// none where one should be, which leaves `rest`.
struct Parameter {
    std::string name, value;
};
std::optional<Parameter> next_parameter(std::string_view& rest) {
    std::string_view text = trimmed(rest);
    if (!text.starts_with(';')) return std::nullopt;
    text = trimmed(text.substr(1));
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    Parameter out{std::string(trimmed(text.substr(0, equals))), {}};
    if (out.name.empty() || out.name.find_first_of(" \t\";") != std::string::npos) return std::nullopt;
    text.remove_prefix(equals + 1);
    if (text.starts_with('"')) {
        std::size_t end = 1;
        while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
        if (end >= text.size()) return std::nullopt;
        out.value = text.substr(1, end - 1);
        rest = text.substr(end + 1);
    } else {
        const std::size_t end = std::min(text.find(';'), text.size());
        out.value = trimmed(text.substr(0, end));
        if (out.value.empty() || out.value.find_first_of(" \t\"") != std::string::npos) return std::nullopt;
        rest = text.substr(end);
    }
    return out;
}

Result<void> read_disposition(std::string_view value, PartHead& head) {
    const std::size_t end = std::min(value.find(';'), value.size());
    if (!same_letters(trimmed(value.substr(0, end)), "form-data")) return broken("a part is no form-data");
    std::string_view rest = value.substr(end);
    bool has_name = false;
    while (auto parameter = next_parameter(rest)) {
        if (same_letters(parameter->name, "name")) {
            if (std::exchange(has_name, true)) return broken("a part has two names");
            head.name = unescaped(parameter->value);
        } else if (same_letters(parameter->name, "filename")) {
            if (std::exchange(head.is_file, true)) return broken("a part has two file names");
            head.filename = unescaped(parameter->value);
        }
    }
    if (!trimmed(rest).empty()) return broken("a Content-Disposition cannot be read");
    if (!has_name) return broken("a part has no name");
    return {};
}

/// The header lines, without the empty one behind them.
Result<PartHead> read_part_head(std::string_view text) {
    PartHead head;
    bool has_disposition = false;
    while (!text.empty()) {
        const std::size_t end = text.find(kLineEnd);
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + kLineEnd.size());
        const std::size_t colon = line.find(':');
        if (colon == 0 || colon == std::string_view::npos) return broken("a header of a part has no name");
        if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
            return broken("a header of a part holds a control character");
        }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (same_letters(name, "Content-Disposition")) {
            if (std::exchange(has_disposition, true)) return broken("a part has two headers Content-Disposition");
            if (auto read = read_disposition(value, head); !read) return std::unexpected(std::move(read.error()));
        } else if (same_letters(name, "Content-Type")) {
            head.content_type = value;
        } else if (same_letters(name, "Content-Transfer-Encoding") && !same_letters(value, "binary") &&
                   !same_letters(value, "8bit") && !same_letters(value, "7bit")) {
            return broken("a part has a Content-Transfer-Encoding, which forms have not");
        }
    }
    if (!has_disposition) return broken("a part has no Content-Disposition");
    return head;
}

bool is_boundary_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

}  // namespace

Result<std::string> multipart_boundary(std::string_view content_type) {
    const std::size_t end = std::min(content_type.find(';'), content_type.size());
    if (!same_letters(trimmed(content_type.substr(0, end)), "multipart/form-data")) {
        return fail(ErrorCode::kUnsupportedMedia, "The body must be multipart/form-data.", "Content-Type");
    }
    std::string_view rest = content_type.substr(end);
    while (auto parameter = next_parameter(rest)) {
        if (!same_letters(parameter->name, "boundary")) continue;
        const std::string& value = parameter->value;
        if (value.empty() || value.size() > 70 || value.ends_with(' ') ||
            !std::ranges::all_of(value, is_boundary_character)) {
            break;
        }
        return std::move(parameter->value);
    }
    return fail(ErrorCode::kInvalidArgument, "The Content-Type has no boundary that can be used.", "Content-Type");
}

MultipartReader::MultipartReader(std::string_view boundary) : delimiter_(fmt::format("\r\n--{}", boundary)) {}

Result<void> MultipartReader::take(std::string_view bytes, PartSink& sink) {
    pending_ += bytes;
    for (;;) {
        const auto stepped = step(sink);
        if (!stepped) return std::unexpected(stepped.error());
        if (!*stepped) break;
    }
    pending_.erase(0, at_);
    at_ = 0;
    return {};
}

Result<void> MultipartReader::finish() const {
    if (state_ == State::kEnded) return {};
    return broken(state_ == State::kStart ? "it has no boundary" : "it breaks off before its end");
}

Result<bool> MultipartReader::step(PartSink& sink) {
    switch (state_) {
        case State::kStart: return read_start();
        case State::kBehindBoundary: return read_behind_boundary();
        case State::kHead: return read_head(sink);
        case State::kBegin: return read_begin();
        case State::kData: return read_data(sink);
        case State::kEnded:
            if (pending_.find_first_not_of(" \t\r\n", at_) != std::string::npos) return broken("bytes follow its end");
            at_ = pending_.size();
            return false;
    }
    return false;
}

Result<bool> MultipartReader::read_start() {
    const std::string_view wanted = std::string_view(delimiter_).substr(kLineEnd.size());
    const std::string_view there = std::string_view(pending_).substr(0, wanted.size());
    if (!wanted.starts_with(there)) return broken("it does not begin with its boundary");
    if (there.size() < wanted.size()) return false;
    at_ = wanted.size();
    state_ = State::kBehindBoundary;
    return true;
}

Result<bool> MultipartReader::read_behind_boundary() {
    // Transport may add white space behind a boundary (RFC 2046); no client does.
    if (pending_.size() - at_ < 2) return false;
    const std::string_view next = std::string_view(pending_).substr(at_, 2);
    at_ += 2;
    if (next == "--") {
        state_ = State::kEnded;
        return true;
    }
    if (next != kLineEnd) return broken("a boundary is not followed by the end of its line");
    if (++n_parts_ > kMostParts) return broken(fmt::format("it has more than {} parts", kMostParts));
    state_ = State::kHead;
    return true;
}

Result<bool> MultipartReader::read_head(PartSink& sink) {
    const std::string_view text = std::string_view(pending_).substr(at_);
    const std::size_t end = text.find("\r\n\r\n");
    constexpr std::size_t kOfEnd = 3;  // may be there already
    const bool is_whole = end != std::string_view::npos;
    if (is_whole ? end > kMostHeadBytes : text.size() > kMostHeadBytes + kOfEnd) {
        return broken(fmt::format("the head of a part is longer than {} bytes", kMostHeadBytes));
    }
    if (!is_whole) return false;
    auto head = read_part_head(text.substr(0, end));
    if (!head) return std::unexpected(std::move(head.error()));
    // An empty part may have its boundary right behind the head's empty line: that line's end is the boundary's, too.
    at_ += end + kLineEnd.size();
    state_ = State::kBegin;
    if (auto begun = sink.begin(std::move(*head)); !begun) return std::unexpected(std::move(begun.error()));
    return true;
}

Result<bool> MultipartReader::read_begin() {
    const std::string_view text = std::string_view(pending_).substr(at_);
    const bool is_delimiter = text.starts_with(delimiter_);
    if (!is_delimiter && std::string_view(delimiter_).starts_with(text)) return false;
    if (!is_delimiter) at_ += kLineEnd.size();
    state_ = State::kData;
    return true;
}

Result<bool> MultipartReader::read_data(PartSink& sink) {
    std::string_view text = std::string_view(pending_).substr(at_);
    const std::size_t end = text.find(delimiter_);
    std::size_t n_bytes = end;
    if (end == std::string_view::npos) {
        n_bytes = text.size() - std::min(text.size(), delimiter_.size() - 1);
    }
    if (n_bytes > 0) {
        if (auto taken = sink.data(text.substr(0, n_bytes)); !taken) return std::unexpected(std::move(taken.error()));
        at_ += n_bytes;
    }
    if (end == std::string_view::npos) return false;
    at_ += delimiter_.size();
    state_ = State::kBehindBoundary;
    if (auto ended = sink.end(); !ended) return std::unexpected(std::move(ended.error()));
    return true;
}

std::string plain_file_name(std::string_view filename) {
    const std::size_t slash = filename.find_last_of("/\\");
    if (slash != std::string_view::npos) filename.remove_prefix(slash + 1);
    std::string out;
    for (const char c : filename) {
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
    }
    if (out.size() > kMostNameBytes) {
        std::size_t end = kMostNameBytes;
        while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;  // within a character
        out.resize(end);
    }
    return out.empty() || out == "." || out == ".." ? "file" : out;
}

}  // namespace sutazai::text
