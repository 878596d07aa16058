#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "artifact/block.h"
#include "artifact/fingerprint.h"
#include "base/error.h"

/// The artifact folder as all processes see it: any number of engines, servers and command lines work in one folder at
/// once. Functions without state that block on the disk; any thread.
///
///   <folder>/lock               short lock between use and removal; prune.lock: one that prunes at a time
///   <folder>/digests/           weights_digest.h
///   <folder>/<id>/manifest.txt  the fingerprint in clear; <id> are the first 16 digits of its digest
///   <folder>/<id>/<hh>/<chain hash>.kv   one block; <hh> are the hash's first two digits
///   <folder>/<id>/tmp/          files being written; each is locked by its writer, so those of dead writers are known
///   <folder>/<id>/quarantine/   files that failed their verification, a few of the newest, for people to look at
///
/// Of a block's file, mtime's seconds are its last use and mtime's nanoseconds count its uses: one utimensat records a
/// use, one stat reads it, and a scan opens no file. Everything is readable by its owner alone (tokens are prompts).
namespace sutazai::artifact {

using UnixTime = std::chrono::sys_seconds;

/// What a directory entry tells about a block.
struct FileEntry {
    ChainHash hash{};
    std::uint64_t bytes = 0;
    UnixTime last_use;
    std::uint32_t uses = 0;
};

struct FingerprintFolder {
    std::filesystem::path path;
    Fingerprint fingerprint;
    std::uint64_t artifacts = 0;
    std::uint64_t bytes = 0;  ///< of the blocks' files
    UnixTime last_use;        ///< of any of them; 0 when there are none
};

/// Each fingerprint's folder with its counts; those without a readable manifest are left out. An absent folder holds
/// none. For status; O(files) stats.
[[nodiscard]] std::vector<FingerprintFolder> list_folder(const std::filesystem::path& folder);

/// The blocks of one fingerprint's folder, in no order. Names that no block has are passed over.
[[nodiscard]] std::vector<FileEntry> list_blocks(const std::filesystem::path& fingerprint_folder);

/// The same for one of its <hh> folders.
[[nodiscard]] std::vector<FileEntry> list_shard(const std::filesystem::path& shard);

/// The verified head of a block's file. kNotFound when it is gone, kLoadFailed when it is damaged.
[[nodiscard]] Result<BlockHead> read_head(const std::filesystem::path& file);

[[nodiscard]] std::filesystem::path block_path(const std::filesystem::path& fingerprint_folder, const ChainHash& hash);

struct PruneRules {
    std::chrono::seconds retention{0};  ///< since the last use
    std::uint64_t byte_limit = 0;       ///< of all blocks of all fingerprints
};

struct PruneReport {
    bool busy = false;  ///< another process is pruning; nothing was done
    std::uint64_t removed = 0;
    std::uint64_t removed_bytes = 0;
    std::uint64_t kept = 0;
    std::uint64_t kept_bytes = 0;
    std::uint64_t leftovers = 0;  ///< files of dead writers and old quarantined ones
    std::uint64_t failed = 0;     ///< should have been removed and could not be
    std::string why;              ///< the first of those could not
};

/// Removes what retention and byte limit say (value.h), never anything put or used in the minute before `now`, in any
/// process. Removes files of dead writers and folders that are empty. `cancelled` is asked before each removal.
/// kUnavailable when the folder cannot be worked in.
[[nodiscard]] Result<PruneReport> prune_folder(const std::filesystem::path& folder, const PruneRules& rules,
                                               UnixTime now, const std::function<bool()>& cancelled = {});

}  // namespace sutazai::artifact
