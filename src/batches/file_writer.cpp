#include "batches/file_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <set>
#include <span>
#include <system_error>
#include <utility>

namespace sutazai::batches {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporaryPrefix = "tmp-";
/// A file is made first and locked then.
constexpr std::chrono::seconds kSettled{60};

bool is_old(const struct stat& status) {
    return std::chrono::seconds(std::time(nullptr) - status.st_mtim.tv_sec) > kSettled;
}

}  // namespace

Result<FileWriter> FileWriter::create(const Store& store) {
    auto file = TempFile::create(store.files_folder(), kTemporaryPrefix);
    if (!file) return std::unexpected(std::move(file.error()));
    return FileWriter(std::move(*file));
}

Result<void> FileWriter::add(std::string_view bytes) {
    if (auto written = write_all(file_.file(), std::as_bytes(std::span(bytes))); !written) return written;
    bytes_ += bytes.size();
    return {};
}

Result<void> FileWriter::commit(const fs::path& path) {
    if (auto synced = file_.sync(); !synced) return synced;
    if (auto named = file_.commit(path); !named) return named;
    sync_folder(path.parent_path());
    return {};
}

void remove_left_over(Store& store) {
    std::error_code error;
    for (fs::directory_iterator entry(store.files_folder(), error), end; !error && entry != end;
         entry.increment(error)) {
        const auto status = file_status(entry->path());
        // The lock first: whoever writes a file holds it until the record is there.
        if (!status || !S_ISREG(status->st_mode) || !is_old(*status) || !is_unlocked(entry->path())) continue;
        const std::string name = entry->path().filename().string();
        const auto recorded = store.has_file(name);
        if (recorded && !*recorded) ::unlink(entry->path().c_str());
    }
    const auto unfinished = store.unfinished();
    if (!unfinished) return;
    std::set<fs::path> needed;
    for (const BatchRecord& batch : *unfinished) needed.insert(store.results_path(batch.number));
    for (fs::directory_iterator entry(store.folder() / "results", error), end; !error && entry != end;
         entry.increment(error)) {
        if (!needed.contains(entry->path())) ::unlink(entry->path().c_str());
    }
}

}  // namespace sutazai::batches
