#include "response.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace sutazai::loadgen {
namespace {

/// The text behind `"key":`, spaces skipped; empty where the key is not there.
std::string_view behind_key(std::string_view text, std::string_view key) {
    for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
        std::size_t end = at + key.size();
        if (at == 0 || text[at - 1] != '"' || end >= text.size() || text[end] != '"') continue;
        for (++end; end < text.size() && (text[end] == ' ' || text[end] == ':'); ++end) {
        }
        return text.substr(end);
    }
    return {};
}

bool has_text(std::string_view line, std::string_view key) {
    const std::string_view value = behind_key(line, key);
    return value.size() > 1 && value[0] == '"' && value[1] != '"';
}

void read_count(std::string_view line, std::string_view key, std::int64_t& count) {
    const std::string_view value = behind_key(line, key);
    std::from_chars(value.data(), value.data() + value.size(), count);
}

bool same_header(std::string_view line, std::string_view name) {
    return line.size() > name.size() && line[name.size()] == ':' &&
           std::equal(name.begin(), name.end(), line.begin(),
                      [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
}

}  // namespace

void AnswerScanner::feed(std::string_view body, Clock::time_point now) {
    while (!body.empty()) {
        const std::size_t end = body.find('\n');
        if (end == std::string_view::npos) {
            rest_ += body;
            return;
        }
        if (rest_.empty()) {
            scan_line(body.substr(0, end), now);
        } else {
            rest_ += body.substr(0, end);
            scan_line(rest_, now);
            rest_.clear();
        }
        body.remove_prefix(end + 1);
    }
}

Answer AnswerScanner::finish(Clock::time_point now) {
    scan_line(rest_, now);
    rest_.clear();
    return std::move(answer_);
}

void AnswerScanner::scan_line(std::string_view line, Clock::time_point now) {
    if (line.size() < 3) return;
    if (has_text(line, "content") || has_text(line, "text")) answer_.text_at.push_back(now);
    if (line.find("\"completion_tokens\"") != std::string_view::npos) {
        read_count(line, "prompt_tokens", answer_.prompt_tokens);
        read_count(line, "completion_tokens", answer_.completion_tokens);
        read_count(line, "cached_tokens", answer_.cached_tokens);
    }
    // No answer has an "error" member beside its text.
    if (answer_.error.empty() && line.find("\"error\"") < 24) answer_.error = line.substr(0, 300);
}

bool ResponseReader::take_line(std::string_view& bytes) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (end == std::string_view::npos) return false;
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    return true;
}

void ResponseReader::read_head(std::string_view line) {
    if (head_.empty()) {
        if (line.size() < 12 || !line.starts_with("HTTP/1.")) throw std::runtime_error("no HTTP response");
        std::from_chars(line.data() + 9, line.data() + 12, status_);
        head_ = line;
        left_ = 0;
        state_ = State::kHead;
    } else if (same_header(line, "content-length")) {
        const std::size_t digits = line.find_first_of("0123456789");
        if (digits != std::string_view::npos) std::from_chars(line.data() + digits, line.data() + line.size(), left_);
    } else if (same_header(line, "transfer-encoding")) {
        head_ = "chunked";
    } else if (same_header(line, "connection")) {
        keep_alive_ = line.find("lose") == std::string_view::npos;
    }
}

void ResponseReader::feed(std::string_view bytes, AnswerScanner& scanner, Clock::time_point now) {
    while (!bytes.empty() && state_ != State::kComplete) {
        if (state_ == State::kBody || state_ == State::kChunkData) {
            const std::size_t size = std::min<std::uint64_t>(left_, bytes.size());
            scanner.feed(bytes.substr(0, size), now);
            bytes.remove_prefix(size);
            left_ -= size;
            if (left_ == 0) state_ = state_ == State::kBody ? State::kComplete : State::kChunkEnd;
            continue;
        }
        if (!take_line(bytes)) return;
        const std::string line = std::move(line_);
        line_.clear();
        if (state_ == State::kHead) {
            if (!line.empty()) {
                read_head(line);
            } else if (head_ == "chunked") {
                state_ = State::kChunkSize;
            } else {
                state_ = left_ == 0 ? State::kComplete : State::kBody;
            }
        } else if (state_ == State::kChunkSize) {
            left_ = 0;
            const auto [end, failed] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
            if (failed != std::errc()) throw std::runtime_error("broken chunk size");
            state_ = left_ == 0 ? State::kTrailer : State::kChunkData;
        } else if (state_ == State::kChunkEnd) {
            state_ = State::kChunkSize;
        } else if (line.empty()) {
            state_ = State::kComplete;
        }
    }
}

}  // namespace sutazai::loadgen
