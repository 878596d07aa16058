#include "artifact/folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "artifact/files.h"
#include "artifact/value.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostManifestBytes = 16 << 10;
constexpr std::chrono::seconds kProtected{60};
constexpr std::chrono::hours kQuarantineTime{24};
constexpr int kLockPatienceMs = 200;

bool is_hex(std::string_view text, std::size_t length) {
    return text.size() == length &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Names in a folder; none when it cannot be read.
std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        names.push_back(it->path().filename().string());
    }
    return names;
}

/// Removes the files of which `is_over(path, status)` says that they are left over; how many they were.
template <typename IsOver>
std::uint64_t remove_leftovers(const fs::path& folder, IsOver is_over) {
    std::uint64_t removed = 0;
    for (const std::string& name : names_in(folder)) {
        const fs::path path = folder / name;
        const auto status = file_status(path);
        if (status && S_ISREG(status->st_mode) && is_over(path, *status) && unlink(path.c_str()) == 0) ++removed;
    }
    return removed;
}

struct Candidate {
    fs::path path;
    FileEntry entry;
};

/// Under the lock that a use is recorded under, so that nobody comes to use it between the look and the removal.
/// False when it is used, or gone already.
Result<bool> remove_unless_used(const fs::path& folder, const Candidate& candidate, UnixTime now) {
    const FolderLock lock(lock_path(folder), FolderLock::Mode::kExclusive, kLockPatienceMs);
    if (!lock.held()) return fail(ErrorCode::kUnavailable, "the folder is locked by another process");
    const auto status = file_status(candidate.path);
    if (!status || usage_of(*status).last_use > now - kProtected) return false;
    if (unlink(candidate.path.c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    return std::unexpected(disk_error(candidate.path.filename().string() + " cannot be removed", errno));
}

/// A fingerprint's folder goes with its last block; rmdir leaves what holds something. Who is about to write there
/// makes it again.
void remove_if_empty(const fs::path& path, UnixTime now) {
    const auto manifest = file_status(path / "manifest.txt");
    if (manifest && now - usage_of(*manifest).last_use <= kProtected) return;
    if (!list_blocks(path).empty()) return;
    for (const std::string& name : names_in(path)) {
        if (name != "manifest.txt" && rmdir((path / name).c_str()) != 0) return;
    }
    unlink((path / "manifest.txt").c_str());
    rmdir(path.c_str());
}

}  // namespace

fs::path block_path(const fs::path& fingerprint_folder, const ChainHash& hash) {
    const std::string hex = to_hex(hash);
    return fingerprint_folder / hex.substr(0, 2) / (hex + ".kv");
}

std::vector<FileEntry> list_shard(const fs::path& shard) {
    std::vector<FileEntry> entries;
    for (const std::string& name : names_in(shard)) {
        if (!name.ends_with(".kv")) continue;
        const auto hash = digest_from_hex(std::string_view(name).substr(0, name.size() - 3));
        if (!hash || name.substr(0, 2) != shard.filename().string()) continue;
        const auto status = file_status(shard / name);
        if (!status || !S_ISREG(status->st_mode)) continue;
        const Usage usage = usage_of(*status);
        entries.push_back({*hash, static_cast<std::uint64_t>(status->st_size), usage.last_use, usage.uses});
    }
    return entries;
}

std::vector<FileEntry> list_blocks(const fs::path& fingerprint_folder) {
    std::vector<FileEntry> entries;
    for (const std::string& name : names_in(fingerprint_folder)) {
        if (!is_hex(name, 2)) continue;
        const auto shard = list_shard(fingerprint_folder / name);
        entries.insert(entries.end(), shard.begin(), shard.end());
    }
    return entries;
}

std::vector<FingerprintFolder> list_folder(const fs::path& folder) {
    std::vector<FingerprintFolder> out;
    for (const std::string& name : names_in(folder)) {
        if (!is_hex(name, 16)) continue;
        const fs::path path = folder / name;
        const auto text = read_text(path / "manifest.txt", kMostManifestBytes);
        if (!text) continue;
        auto fingerprint = Fingerprint::parse(*text);
        if (!fingerprint || fingerprint->id() != name) continue;
        FingerprintFolder entry{path, std::move(*fingerprint)};
        for (const FileEntry& block : list_blocks(path)) {
            ++entry.artifacts;
            entry.bytes += block.bytes;
            entry.last_use = std::max(entry.last_use, block.last_use);
        }
        out.push_back(std::move(entry));
    }
    std::ranges::sort(out, {}, [](const FingerprintFolder& entry) { return entry.path.filename().string(); });
    return out;
}

Result<BlockHead> read_head(const fs::path& path) {
    auto file = open_file(path);
    if (!file) return std::unexpected(file.error());
    struct stat status {};
    if (fstat(file->fd(), &status) != 0) return std::unexpected(disk_error("the file cannot be read", errno));
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    std::array<std::byte, kMaxHeadBytes> buffer{};
    const std::span<std::byte> head(buffer.data(), std::min<std::uint64_t>(bytes, buffer.size()));
    if (auto read = read_at(*file, 0, head); !read) return std::unexpected(read.error());
    return decode_head(head, bytes);
}

Result<PruneReport> prune_folder(const fs::path& folder, const PruneRules& rules, UnixTime now,
                                 const std::function<bool()>& cancelled) {
    PruneReport report;
    if (!file_status(folder)) return report;
    const FolderLock alone(folder / "prune.lock", FolderLock::Mode::kExclusive, 0);
    if (!alone.exists()) {
        return fail(ErrorCode::kUnavailable, fmt::format("the folder {} cannot be written to", folder.string()));
    }
    if (!alone.held()) {
        report.busy = true;
        return report;
    }

    std::vector<Candidate> candidates;
    std::vector<fs::path> fingerprint_folders;
    std::uint64_t total = 0;
    bool anything_old = false;
    for (const std::string& name : names_in(folder)) {
        if (!is_hex(name, 16)) continue;
        fingerprint_folders.push_back(folder / name);
        for (FileEntry& entry : list_blocks(fingerprint_folders.back())) {
            total += entry.bytes;
            anything_old = anything_old || now - entry.last_use > rules.retention;
            candidates.push_back({block_path(fingerprint_folders.back(), entry.hash), entry});
        }
    }
    report.kept = candidates.size();
    report.kept_bytes = total;

    // Heads are read only when something may have to go.
    if (anything_old || total > rules.byte_limit) {
        std::vector<Worth> worths;
        worths.reserve(candidates.size());
        for (const Candidate& candidate : candidates) {
            Worth worth{.hash = candidate.entry.hash, .bytes = candidate.entry.bytes, .uses = candidate.entry.uses};
            worth.idle_s = (now - candidate.entry.last_use).count();
            if (const auto head = read_head(candidate.path)) {
                worth.parent = head->info.parent;
                worth.first = head->info.first;
                worth.compute_us = head->info.compute_us;
            } else {
                worth.first = kBlockTokens;  // damaged: like a block whose parent is not there
            }
            worths.push_back(worth);
        }
        const EvictionRules eviction{rules.retention.count(), rules.byte_limit, kProtected.count()};
        for (const std::size_t i : choose_evictions(worths, eviction)) {
            if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "pruning was cancelled");
            const auto removed = remove_unless_used(folder, candidates[i], now);
            if (!removed && report.failed++ == 0) report.why = removed.error().message;
            if (!removed.value_or(false)) continue;
            ++report.removed;
            report.removed_bytes += candidates[i].entry.bytes;
            --report.kept;
            report.kept_bytes -= candidates[i].entry.bytes;
        }
    }

    for (const fs::path& path : fingerprint_folders) {
        report.leftovers += remove_leftovers(path / "tmp", [&](const fs::path& file, const struct stat& status) {
            return now - usage_of(status).last_use > kProtected && is_unlocked(file);
        });
        report.leftovers += remove_leftovers(path / "quarantine", [&](const fs::path&, const struct stat& status) {
            return now - UnixTime(std::chrono::seconds(status.st_ctim.tv_sec)) > kQuarantineTime;
        });
        remove_if_empty(path, now);
    }
    return report;
}

}  // namespace sutazai::artifact
