#include "artifact/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "artifact/files.h"
#include "artifact/value.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kShards = 256;
constexpr std::size_t kMostPendingTouches = 64;
constexpr std::size_t kMostQuarantined = 8;
constexpr int kFirstBackoffS = 5;
constexpr int kLastBackoffS = 600;

constexpr std::int64_t kAbsent = -1;

struct Shard {
    std::int64_t modified_ns = -2;  ///< kAbsent when there is no such folder; before the first look neither
    /// The same time was seen before the last listing too, so that listing cannot have missed a change of the same
    /// tick.
    bool is_settled = false;
};

}  // namespace

struct ArtifactStore::Impl {
    StoreOptions options;
    Fingerprint fingerprint;
    fs::path folder;  ///< of this fingerprint
    std::unordered_map<ChainHash, Entry, DigestHash> index;
    std::array<Shard, kShards> shards;
    std::unordered_map<ChainHash, Usage, DigestHash> pending;  ///< touches: uses to add, time of the last
    Stats stats;
    std::uint64_t bytes_since_prune = 0;
    std::uint64_t bytes_at_prune = 0;  ///< of all fingerprints
    bool has_pruned = false;           ///< until then nobody has counted what other models' artifacts take
    UnixTime put_again;
    int backoff_s = 0;
    std::string last_failure;

    [[nodiscard]] Result<void> write(const EncodedBlock& encoded, const ChainHash& hash, UnixTime now) const;
    void quarantine(const ChainHash& hash);
    void refresh_shard(std::size_t number);
};

Result<void> ArtifactStore::Impl::write(const EncodedBlock& encoded, const ChainHash& hash, UnixTime now) const {
    struct statvfs disk {};
    if (statvfs(folder.c_str(), &disk) == 0 && disk.f_blocks > 0) {
        const std::uint64_t free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
        if (free_bytes < encoded.bytes() + options.reserve_bytes) {
            return fail(ErrorCode::kUnavailable, fmt::format("the disk of {} is nearly full: {} MiB are free",
                                                             options.folder.string(), free_bytes >> 20U));
        }
    }
    const auto place = [&] {
        return place_block(options.folder, block_path(folder, hash), encoded.head, encoded.stored, {now, 1});
    };
    auto placed = place();
    for (int again = 0; again < 20 && !placed && placed.error().code == ErrorCode::kNotFound; ++again) {
        // A folder that stood empty was removed by a pruning process.
        if (placed = make_fingerprint_folder(options.folder, fingerprint); placed) placed = place();
    }
    return placed;
}

void ArtifactStore::Impl::quarantine(const ChainHash& hash) {
    index.erase(hash);
    const fs::path path = block_path(folder, hash);
    const fs::path shelf = folder / "quarantine";
    std::error_code error;
    const auto n = std::distance(fs::directory_iterator(shelf, error), fs::directory_iterator());
    const fs::path kept = shelf / path.filename();
    if (!error && n < static_cast<std::ptrdiff_t>(kMostQuarantined)) {
        // Gone already: another process found the same, and may be writing a good one by now.
        if (rename(path.c_str(), kept.c_str()) == 0 || errno == ENOENT) return;
    }
    unlink(path.c_str());
}

void ArtifactStore::Impl::refresh_shard(std::size_t number) {
    const fs::path path = folder / fmt::format("{:02x}", number);
    Shard& shard = shards.at(number);
    const auto status = file_status(path);
    const std::int64_t modified = status ? status->st_mtim.tv_sec * 1'000'000'000LL + status->st_mtim.tv_nsec : kAbsent;
    const bool same = modified == shard.modified_ns;
    if (same && (shard.is_settled || modified == kAbsent)) return;
    shard = {modified, same};

    std::unordered_set<ChainHash, DigestHash> there;
    for (const FileEntry& file : list_shard(path)) {
        there.insert(file.hash);
        auto found = index.find(file.hash);
        if (found == index.end()) {
            // A damaged one stays where it is until somebody asks for it.
            const auto head = read_head(block_path(folder, file.hash));
            if (!head || head->info.hash != file.hash || head->info.fingerprint != fingerprint.digest()) continue;
            Entry entry{.hash = file.hash, .parent = head->info.parent, .first = head->info.first};
            entry.n_tokens = static_cast<int>(head->info.tokens.size());
            entry.compute_us = head->info.compute_us;
            found = index.emplace(file.hash, entry).first;
        }
        found->second.bytes = file.bytes;
        found->second.uses = file.uses;
        found->second.last_use = file.last_use;
    }
    std::erase_if(index, [&](const auto& item) {
        return std::to_integer<std::size_t>(item.first.front()) == number && !there.contains(item.first);
    });
}

ArtifactStore::ArtifactStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArtifactStore::~ArtifactStore() {
    flush_touches();
}

Result<std::unique_ptr<ArtifactStore>> ArtifactStore::open(const StoreOptions& options,
                                                           const Fingerprint& fingerprint) {
    auto impl = std::make_unique<Impl>(Impl{options, fingerprint, options.folder / fingerprint.id()});
    if (auto made = make_fingerprint_folder(options.folder, fingerprint); !made) return std::unexpected(made.error());
    return std::unique_ptr<ArtifactStore>(new ArtifactStore(std::move(impl)));
}

Result<ArtifactStore::Put> ArtifactStore::put(const BlockInfo& info, Bytes payload, UnixTime now) {
    Impl& self = *impl_;
    if (info.fingerprint != self.fingerprint.digest()) {
        return fail(ErrorCode::kInvalidArgument, "the block is another fingerprint's");
    }
    if (payload.size() > self.options.most_payload_bytes) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("a payload of {} bytes is over this model's limit of {}",
                                                             payload.size(), self.options.most_payload_bytes));
    }
    const fs::path path = block_path(self.folder, info.hash);
    if (mark_used(self.options.folder, path, {now, 1})) {
        if (const auto entry = self.index.find(info.hash); entry != self.index.end()) {
            ++entry->second.uses;
            entry->second.last_use = now;
        }
        return Put::kAlreadyThere;
    }
    if (now < self.put_again) {
        const auto wait = static_cast<int>((self.put_again - now).count());
        Error error{
            ErrorCode::kUnavailable,
            fmt::format("artifacts are not written for {} s, since writing one failed: {}", wait, self.last_failure)};
        error.retry_after_s = wait;
        return std::unexpected(std::move(error));
    }
    const auto encoded = encode_block(info, payload, self.options.compression);
    if (!encoded) return std::unexpected(encoded.error());

    if (const auto written = self.write(*encoded, info.hash, now); !written) {
        ++self.stats.put_failures;
        self.backoff_s = std::clamp(2 * self.backoff_s, kFirstBackoffS, kLastBackoffS);
        self.put_again = now + std::chrono::seconds(self.backoff_s);
        self.last_failure = written.error().message;
        Error error = written.error();
        error.code = ErrorCode::kUnavailable;
        error.retry_after_s = self.backoff_s;
        return std::unexpected(std::move(error));
    }
    self.backoff_s = 0;
    ++self.stats.puts;
    self.stats.put_bytes += encoded->bytes();
    self.bytes_since_prune += encoded->bytes();
    Entry entry{.hash = info.hash, .parent = info.parent, .first = info.first};
    entry.n_tokens = static_cast<int>(info.tokens.size());
    entry.bytes = encoded->bytes();
    entry.compute_us = info.compute_us;
    entry.uses = 1;
    entry.last_use = now;
    self.index.insert_or_assign(info.hash, entry);
    return Put::kWritten;
}

bool ArtifactStore::contains(const ChainHash& hash) {
    if (impl_->index.contains(hash)) return true;
    return file_status(block_path(impl_->folder, hash)).has_value();
}

Result<Block> ArtifactStore::get(const ChainHash& hash, UnixTime now) {
    Impl& self = *impl_;
    const fs::path path = block_path(self.folder, hash);
    const auto read = [&]() -> Result<Buffer> {
        File file;
        struct stat status {};
        {
            const FolderLock lock(lock_path(self.options.folder), FolderLock::Mode::kShared, kUsePatienceMs);
            auto opened = open_file(path);
            if (!opened) return std::unexpected(opened.error());
            file = std::move(*opened);
            if (fstat(file.fd(), &status) != 0) return std::unexpected(disk_error("no artifact can be read", errno));
            const Usage before = usage_of(status);
            record_usage(file, {std::max(now, before.last_use), before.uses + 1});
        }
        if (static_cast<std::uint64_t>(status.st_size) > self.options.most_payload_bytes + kMaxHeadBytes) {
            return fail(ErrorCode::kLoadFailed, "the artifact is damaged: it is larger than any block of this model");
        }
        Buffer buffer(static_cast<std::size_t>(status.st_size));
        if (auto done = read_at(file, 0, buffer.span()); !done) return std::unexpected(done.error());
        return buffer;
    };
    auto buffer = read();
    auto block = buffer ? decode_block(std::move(*buffer), self.options.most_payload_bytes)
                        : Result<Block>(std::unexpected(buffer.error()));
    if (block && (block->info.hash != hash || block->info.fingerprint != self.fingerprint.digest())) {
        block = fail(ErrorCode::kLoadFailed, "the artifact is damaged: its name is another's");
    }
    if (!block) {
        ++self.stats.misses;
        self.index.erase(hash);
        if (block.error().code == ErrorCode::kLoadFailed) {
            ++self.stats.damaged;
            spdlog::warn("{}/{}: {}", self.fingerprint.id(), to_hex(hash).substr(0, 16), block.error().message);
            self.quarantine(hash);
        } else {
            block.error().code = ErrorCode::kNotFound;
        }
        return block;
    }
    ++self.stats.hits;
    self.stats.hit_bytes += block->payload.size();
    Entry& entry = self.index[hash];
    entry.hash = hash;
    entry.parent = block->info.parent;
    entry.first = block->info.first;
    entry.n_tokens = static_cast<int>(block->info.tokens.size());
    entry.bytes = std::max<std::uint64_t>(entry.bytes, block->storage.size());
    entry.compute_us = block->info.compute_us;
    ++entry.uses;
    entry.last_use = now;
    return block;
}

void ArtifactStore::reject(const ChainHash& hash) {
    ++impl_->stats.rejected;
    impl_->quarantine(hash);
}

void ArtifactStore::touch(const ChainHash& hash, UnixTime now) {
    Usage& usage = impl_->pending[hash];
    ++usage.uses;
    usage.last_use = std::max(usage.last_use, now);
    if (impl_->pending.size() >= kMostPendingTouches) flush_touches();
}

void ArtifactStore::flush_touches() {
    for (const auto& [hash, usage] : impl_->pending) {
        if (!mark_used(impl_->options.folder, block_path(impl_->folder, hash), usage)) continue;
        if (const auto entry = impl_->index.find(hash); entry != impl_->index.end()) {
            entry->second.uses += usage.uses;
            entry->second.last_use = std::max(entry->second.last_use, usage.last_use);
        }
    }
    impl_->pending.clear();
}

void ArtifactStore::refresh() {
    for (std::size_t number = 0; number < kShards; ++number) impl_->refresh_shard(number);
}

std::vector<ArtifactStore::Entry> ArtifactStore::entries(UnixTime now) const {
    struct Ranked {
        double value;
        const Entry* entry;
    };
    std::vector<Ranked> ranked;
    ranked.reserve(impl_->index.size());
    for (const auto& [hash, entry] : impl_->index) {
        const Worth worth{
            hash, entry.parent, entry.first, entry.bytes, entry.compute_us, entry.uses, (now - entry.last_use).count()};
        ranked.push_back({value_of(worth), &entry});
    }
    std::ranges::sort(ranked, [](const Ranked& a, const Ranked& b) {
        if (a.value != b.value) return a.value > b.value;
        if (a.entry->first != b.entry->first) return a.entry->first < b.entry->first;
        return a.entry->hash < b.entry->hash;
    });
    std::vector<Entry> out;
    out.reserve(ranked.size());
    for (const Ranked& item : ranked) out.push_back(*item.entry);
    return out;
}

ArtifactStore::Stats ArtifactStore::stats() const {
    Stats stats = impl_->stats;
    stats.artifacts = impl_->index.size();
    for (const auto& [hash, entry] : impl_->index) stats.bytes += entry.bytes;
    return stats;
}

bool ArtifactStore::wants_prune() const {
    const Impl& self = *impl_;
    if (self.bytes_since_prune == 0) return false;
    return !self.has_pruned || self.bytes_at_prune + self.bytes_since_prune > self.options.byte_limit;
}

Result<PruneReport> ArtifactStore::prune(std::chrono::seconds retention, UnixTime now) {
    flush_touches();
    const std::uint64_t limit = impl_->options.byte_limit;
    auto report = prune_folder(impl_->options.folder, {retention, limit - limit / 20}, now);
    if (report && !report->busy) {
        impl_->bytes_at_prune = report->kept_bytes;
        impl_->bytes_since_prune = 0;
        impl_->has_pruned = true;
        if (report->removed > 0) refresh();
    }
    return report;
}

}  // namespace sutazai::artifact
