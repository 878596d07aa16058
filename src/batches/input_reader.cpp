#include "batches/input_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sutazai::batches {

namespace {

constexpr std::size_t kPieceBytes = 256 << 10;

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

InputReader::InputReader(Store& store, const BatchRecord& batch, InputLimits limits, File file)
    : store_(&store),
      batch_(batch.number),
      endpoint_(api::openai::batch_endpoint(batch.object.endpoint).value_or(BatchEndpoint::kChat)),
      limits_(limits),
      file_(std::move(file)) {}

Result<InputReader> InputReader::begin(Store& store, const BatchRecord& batch, InputLimits limits) {
    auto file = open_file(store.file_path(batch.object.input_file_id));
    if (!file) return std::unexpected(std::move(file.error()));
    if (auto begun = store.begin_lines(batch.number); !begun) return std::unexpected(std::move(begun.error()));
    return InputReader(store, batch, limits, std::move(*file));
}

void InputReader::refuse(std::string code, std::string message) {
    errors_.push_back({std::move(code), std::move(message), {}, number_});
}

void InputReader::take_line(std::string_view line, std::vector<LineRecord>& out) {
    const std::uint64_t offset = offset_;
    offset_ += line.size() + 1;
    ++number_;
    if (is_blank(line)) return;
    if (++n_requests_ > limits_.most_lines) {
        refuse("too_many_tasks",
               fmt::format("A batch may have at most {} lines (BATCH_MAX_LINES).", limits_.most_lines));
        return;
    }
    if (line.size() > limits_.most_line_bytes) {
        refuse("line_too_long",
               fmt::format("A line may have at most {} bytes (MAX_BODY_BYTES).", limits_.most_line_bytes));
        return;
    }
    auto parsed = api::openai::parse_batch_line(line, endpoint_);
    if (!parsed) {
        parsed.error().line = number_;
        errors_.push_back(std::move(parsed.error()));
        return;
    }
    out.push_back({number_, std::move(parsed->custom_id), std::move(parsed->model), std::move(parsed->sort_key), offset,
                   line.size()});
}

Result<void> InputReader::record(std::vector<LineRecord> lines) {
    if (lines.empty()) return {};
    const auto twice = store_->add_lines(batch_, lines);
    if (!twice) return std::unexpected(twice.error());
    for (const LineRecord& line : *twice) {
        errors_.push_back(
            {"duplicate_custom_id", "The custom_id is that of an earlier line.", "custom_id", line.number});
    }
    return {};
}

Result<bool> InputReader::read_piece() {
    const std::size_t before = pending_.size();
    pending_.resize(before + kPieceBytes);
    ssize_t got = -1;
    do {
        got = pread(file_.fd(), pending_.data() + before, kPieceBytes, static_cast<off_t>(offset_ + before));
    } while (got < 0 && errno == EINTR);
    pending_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return std::unexpected(disk_error("the input file cannot be read", errno));
    return got > 0;
}

Result<bool> InputReader::step() {
    const auto more = read_piece();
    if (!more) return std::unexpected(more.error());
    ended_ = !*more;
    std::vector<LineRecord> lines;
    std::string_view text = pending_;
    const auto full = [&] { return errors_.size() >= kMostErrors || n_requests_ > limits_.most_lines; };
    while (!text.empty() && !full()) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos && !ended_) break;
        take_line(text.substr(0, end), lines);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    if (auto recorded = record(std::move(lines)); !recorded) return std::unexpected(std::move(recorded.error()));
    // A line without end is not gathered for ever.
    if (text.size() > limits_.most_line_bytes && !full()) {
        ++number_;
        refuse("line_too_long",
               fmt::format("A line may have at most {} bytes (MAX_BODY_BYTES).", limits_.most_line_bytes));
        ended_ = true;
    }
    pending_.erase(0, pending_.size() - text.size());
    if (!ended_ && !full()) return false;
    if (n_requests_ == 0 && errors_.empty()) {
        errors_.push_back({"empty_file", "The input file has no lines.", {}, 0});
    }
    std::ranges::stable_sort(errors_, {}, &BatchError::line);
    return true;
}

}  // namespace sutazai::batches
