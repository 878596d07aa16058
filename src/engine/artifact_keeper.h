#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/store.h"
#include "base/artifact_action.h"
#include "base/error.h"
#include "base/model_parts.h"
#include "engine/artifact_thread.h"
#include "engine/known_blocks.h"
#include "engine/progress.h"
#include "llama/language_model.h"

namespace sutazai::engine {

struct ArtifactConfig {
    std::string artifacts_dir;     ///< of all models; empty: no artifacts
    std::uint64_t byte_limit = 0;  ///< of all models
    std::chrono::seconds retention{0};
    std::string model_path;
    FileStamps loaded_files;                  ///< as they were when the model was loaded
    bool tensor_digests = false;              ///< see to it that those of the model's files are kept
    std::chrono::milliseconds read_delay{0};  ///< how much longer each read takes: tests have a slow disk
};

/// The engine's way to its artifacts: one thread of its own that alone touches the store and the disk. It begins by
/// finding the weights' digest, which takes a while for a file that nobody has hashed yet; until then there are no
/// artifacts. Nothing here fails a request: what cannot be had is computed.
class ArtifactKeeper {
  public:
    ArtifactKeeper(ArtifactConfig config, artifact::FingerprintParts parts, std::uint64_t most_block_bytes);
    /// The end finishes the block that is being written and drops the others; flush() first to keep them.
    ~ArtifactKeeper() = default;
    ArtifactKeeper(const ArtifactKeeper&) = delete;
    ArtifactKeeper& operator=(const ArtifactKeeper&) = delete;

    /// A block on the disk whose first n_common tokens agree with the chain that was asked for.
    struct Find {
        artifact::ChainHash hash;
        int first;
        int n_common;
    };
    /// The longest beginning of a chain that artifacts hold, whole blocks and maybe a part of one more. May read a few
    /// files' heads: not for the decode thread. Any other thread.
    [[nodiscard]] std::vector<Find> find(std::string_view salt, std::span<const sched::Token> chain);

    struct Fetched {
        artifact::BlockInfo info;
        llama::KvState state;
    };
    /// Reads blocks, verified, in order up to the first that cannot be had, and hands them to `done` on the keeper's
    /// thread. Any thread; does not wait.
    void fetch(std::vector<Find> blocks, std::function<void(std::vector<Fetched>, std::chrono::microseconds)> done);

    /// Is the block that ends this chain on the disk or on its way there. Any thread.
    [[nodiscard]] bool has(std::string_view salt, std::span<const sched::Token> chain);
    /// Writes the block that ends `chain`, maybe a short one, unless too much is waiting to be written. Any thread.
    void keep(std::string_view salt, std::span<const sched::Token> chain, std::optional<artifact::Canary> canary,
              std::uint64_t compute_us, std::shared_ptr<const llama::KvState> state);
    /// A block proved wrong: it is taken out. Any thread.
    void reject(const artifact::ChainHash& hash);

    /// Waits until what was to be written is written, at most so long. What was written since the last flush, and what
    /// could not be.
    ArtifactReport flush(std::chrono::milliseconds patience);
    /// Removes what is too old or too much, and waits for it.
    [[nodiscard]] Result<ArtifactReport> prune();
    struct Best {
        std::vector<std::vector<Find>> chains;
        std::size_t without_room = 0;  ///< chains that would be next
    };
    /// Chains without a tenant that are worth the most, each from its first block, up to `most_bytes` in all.
    [[nodiscard]] Best best(std::uint64_t most_bytes);

    struct Stats {
        std::uint64_t artifacts = 0, bytes = 0;
    };
    [[nodiscard]] Stats stats() const;
    /// False while the weights' digest is not known, and when the folder cannot be used. Waits up to `patience`.
    [[nodiscard]] bool ready(std::chrono::milliseconds patience);
    /// Of the jobs that the engine's threads have given it.
    [[nodiscard]] const Progress& progress() const { return jobs_.progress(); }
    /// Why it is not, as a sentence.
    [[nodiscard]] std::string why_not_ready() const;

  private:
    bool open();
    void look_around();
    void learn();
    [[nodiscard]] std::filesystem::path path_of(const artifact::ChainHash& hash) const;
    void count_failure(const std::string& why);
    /// Runs the job on the keeper's thread and waits; false when there is no store.
    bool call(const std::function<void()>& job);

    ArtifactConfig config_;
    artifact::FingerprintParts parts_;
    std::uint64_t most_block_bytes_;

    std::unique_ptr<artifact::ArtifactStore> store_;  ///< keeper's thread

    mutable std::mutex mutex_;
    std::condition_variable opened_;
    std::optional<artifact::Fingerprint> fingerprint_;  ///< set once the store is open
    bool failed_ = false;
    std::string why_failed_;
    std::uint64_t pending_bytes_ = 0;  ///< of states that wait to be written
    ArtifactReport written_;           ///< since the last flush()
    Stats stats_;
    KnownBlocks known_;

    ArtifactThread jobs_;  ///< last: it uses all of the above
};

}  // namespace sutazai::engine
