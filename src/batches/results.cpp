#include "batches/results.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace sutazai::batches {

namespace {

constexpr int kLinesAtOnce = 200;

}  // namespace

Result<std::int64_t> keep_results(Store& store, std::int64_t batch, std::span<const NewResult> results) {
    const auto path = store.results_path(batch);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): POSIX
    const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat status {};
    if (!file.is_open() || fstat(file.fd(), &status) != 0) {
        return std::unexpected(disk_error("results cannot be kept", errno));
    }
    std::string text;
    std::vector<LineResult> places;
    for (const NewResult& result : results) {
        places.push_back({result.number,
                          result.succeeded,
                          static_cast<std::uint64_t>(status.st_size) + text.size(),
                          result.text.size(),
                          {}});
        if (result.succeeded) places.back().usage = api::openai::usage_of_answer(result.text);
        text += result.text;
    }
    if (auto written = write_all(file, std::as_bytes(std::span(text))); !written) {
        // What there was room for must not keep the records from being written.
        if (::ftruncate(file.fd(), status.st_size) != 0) return std::unexpected(disk_error("results are left", errno));
        return std::unexpected(std::move(written.error()));
    }
    if (fdatasync(file.fd()) != 0) return std::unexpected(disk_error("results cannot be kept", errno));
    return store.add_results(batch, places);
}

Finishing::Finishing(Store& store, BatchRecord batch, BatchStatus end, UnixTime now, UnixTime expires_at)
    : store_(&store), batch_(std::move(batch)), end_(end), now_(now), expires_at_(expires_at) {}

Result<void> Finishing::add_to(std::optional<FileWriter>& file, std::string_view text) {
    if (!file) {
        auto created = FileWriter::create(*store_);
        if (!created) return std::unexpected(std::move(created.error()));
        file.emplace(std::move(*created));
    }
    return file->add(text);
}

Result<void> Finishing::add(const LineOutcome& line) {
    if (!line.answered) {
        const bool expired = end_ == BatchStatus::kExpired;
        return add_to(errors_,
                      api::openai::encode_unanswered_line(
                          {new_id("batch_req_"), {}, line.custom_id}, expired ? "batch_expired" : "batch_cancelled",
                          expired ? "This request could not be executed before the completion window expired."
                                  : "The batch was cancelled before this request was executed."));
    }
    if (!results_.is_open()) {
        auto opened = open_file(store_->results_path(batch_.number));
        if (!opened) return std::unexpected(std::move(opened.error()));
        results_ = std::move(*opened);
    }
    std::string text(line.result.bytes, '\0');
    if (auto read = read_at(results_, line.result.offset, std::as_writable_bytes(std::span(text))); !read) return read;
    return add_to(line.result.succeeded ? output_ : errors_, text);
}

Result<std::optional<FileObject>> Finishing::commit(std::optional<FileWriter>& file, std::string_view kind) {
    if (!file) return std::nullopt;
    FileObject out{new_id("file-"),
                   fmt::format("{}_{}.jsonl", batch_.object.id, kind),
                   std::string(api::openai::kBatchOutputPurpose),
                   file->bytes(),
                   now_,
                   expires_at_};
    if (auto done = file->commit(store_->file_path(out.id)); !done) return std::unexpected(std::move(done.error()));
    return out;
}

Result<bool> Finishing::end() {
    const auto output = commit(output_, "output");
    if (!output) return std::unexpected(output.error());
    const auto errors = commit(errors_, "error");
    if (!errors) return std::unexpected(errors.error());
    const auto ended = store_->end(batch_.number, end_, *output, *errors, now_);
    if (!ended) return std::unexpected(ended.error());
    ::unlink(store_->results_path(batch_.number).c_str());
    return true;
}

Result<bool> Finishing::step() {
    const auto lines = store_->outcomes(batch_.number, last_number_, kLinesAtOnce);
    if (!lines) return std::unexpected(lines.error());
    for (const LineOutcome& line : *lines) {
        if (auto added = add(line); !added) return std::unexpected(std::move(added.error()));
        last_number_ = line.number;
    }
    return lines->size() < static_cast<std::size_t>(kLinesAtOnce) ? end() : Result<bool>(false);
}

}  // namespace sutazai::batches
