#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <unordered_map>
#include <vector>

#include "artifact/block.h"
#include "artifact/fingerprint.h"
#include "artifact/folder.h"
#include "base/error.h"

namespace sutazai::artifact {

struct StoreOptions {
    std::filesystem::path folder;                         ///< of all models
    std::uint64_t byte_limit = 8ULL << 30;                ///< of all models; what wants_prune() goes by
    std::uint64_t most_payload_bytes = kMaxPayloadBytes;  ///< of a block of this model; more is refused unread
    /// Free space that puts leave on the disk, for others.
    std::uint64_t reserve_bytes = 256ULL << 20;
    Compression compression = Compression::kWhenItPays;
};

/// Blocks of one fingerprint in a folder that other processes use at the same time. One thread at a time; every call
/// may block on the disk (put: for a sync), so not the decode thread's. The time is always an argument.
///
/// Guarantees: what get() returns passed all its hashes. A process that is killed, or a disk that is full, loses the
/// block that is being written and nothing else. Errors never need action: a block that cannot be had is recomputed.
class ArtifactStore {
  public:
    /// Makes the folders and the manifest. kUnavailable when the folder cannot be used, kInternal when it belongs to
    /// another fingerprint of the same id. Reads no block: quick however many there are.
    [[nodiscard]] static Result<std::unique_ptr<ArtifactStore>> open(const StoreOptions& options,
                                                                     const Fingerprint& fingerprint);

    enum class Put : std::uint8_t { kWritten, kAlreadyThere };
    /// Writes a block durably: temporary file, sync, rename, sync of the folder. One that is there already (from
    /// whomever) is marked as used. kUnavailable when the disk is full or fails; for a while after that put() returns
    /// the same at once (5 s, doubling to 10 min), with retry_after_s. kInvalidArgument as encode_block().
    [[nodiscard]] Result<Put> put(const BlockInfo& info, Bytes payload, UnixTime now);

    /// Whether there is a file of that name, unverified: one stat on a miss of the index, none on a hit.
    [[nodiscard]] bool contains(const ChainHash& hash);

    /// Reads, verifies and marks as used. kNotFound when there is none; kLoadFailed when it was damaged or is another
    /// fingerprint's: then it has been moved to the quarantine and counted. Callers still compare info.first.
    [[nodiscard]] Result<Block> get(const ChainHash& hash, UnixTime now);

    /// Drops a block that verified and still proved wrong (its canary, or llama.cpp refused it): into the quarantine.
    void reject(const ChainHash& hash);

    /// Notes a use of a block that was served from memory. Written by flush_touches(), or by itself now and then.
    void touch(const ChainHash& hash, UnixTime now);
    void flush_touches();

    /// Takes in what other processes added or removed. Looks only into those of the 256 folders that changed. A block
    /// that is new gets its head read once.
    void refresh();

    struct Entry {
        ChainHash hash{};
        ChainHash parent{};
        int first = 0;
        int n_tokens = 0;
        std::uint64_t bytes = 0;
        std::uint64_t compute_us = 0;
        std::uint32_t uses = 0;
        UnixTime last_use;
    };
    /// As of the last refresh() and this process's own puts since; most valuable first (value.h).
    [[nodiscard]] std::vector<Entry> entries(UnixTime now) const;

    struct Stats {
        std::uint64_t artifacts = 0;  ///< of this fingerprint, as entries()
        std::uint64_t bytes = 0;
        std::uint64_t puts = 0;  ///< written; the rest since open()
        std::uint64_t put_bytes = 0;
        std::uint64_t put_failures = 0;
        std::uint64_t hits = 0;
        std::uint64_t hit_bytes = 0;
        std::uint64_t misses = 0;
        std::uint64_t damaged = 0;   ///< failed verification
        std::uint64_t rejected = 0;  ///< by reject()
    };
    [[nodiscard]] Stats stats() const;

    /// Whether this process's puts may have brought the folder over its byte limit since the last prune().
    [[nodiscard]] bool wants_prune() const;
    /// prune_folder() with the limit of the options lowered by a twentieth, so that it is not needed for every put.
    [[nodiscard]] Result<PruneReport> prune(std::chrono::seconds retention, UnixTime now);

    ~ArtifactStore();  ///< flushes touches
    ArtifactStore(const ArtifactStore&) = delete;
    ArtifactStore& operator=(const ArtifactStore&) = delete;

  private:
    struct Impl;
    explicit ArtifactStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace sutazai::artifact
