#include "engine/artifact_keeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <utility>

#include "artifact/tensor_digests.h"
#include "artifact/weights_digest.h"

namespace sutazai::engine {
namespace {

using artifact::ChainHash;
using artifact::kBlockTokens;
using Clock = std::chrono::steady_clock;

/// States in memory that wait for the disk at most; more are not kept this time.
constexpr std::uint64_t kMostPendingBytes = 512ULL << 20;
/// Blocks that continue a chain are compared with at most so many others.
constexpr std::size_t kMostSiblings = 64;
/// Other processes' blocks are looked for this often.
constexpr std::chrono::seconds kRefresh{10};
/// A common beginning shorter than this is not worth a read.
constexpr int kLeastCommonTokens = 32;

artifact::UnixTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

bool same_content(const FileStamp& a, const FileStamp& b) {
    return a.same_content(b);
}

int n_common(std::span<const sched::Token> a, std::span<const sched::Token> b) {
    return static_cast<int>(std::ranges::mismatch(a, b).in1 - a.begin());
}

artifact::ChainBlock last_block(const artifact::Fingerprint& fingerprint, std::string_view salt,
                                std::span<const sched::Token> chain) {
    return artifact::chain_blocks(artifact::chain_root(fingerprint.digest(), salt), chain, true).back();
}

}  // namespace

ArtifactKeeper::ArtifactKeeper(ArtifactConfig config, artifact::FingerprintParts parts, std::uint64_t most_block_bytes)
    : config_(std::move(config)),
      parts_(std::move(parts)),
      most_block_bytes_(most_block_bytes),
      jobs_({.first =
                 [this] {
                     bool opened = false;
                     survives("opening the folder", [&] { opened = open(); });
                     {
                         const std::lock_guard lock(mutex_);
                         failed_ = !opened;
                     }
                     opened_.notify_all();
                 },
             .regular = [this] { look_around(); },
             .interval = kRefresh}) {}

// --- the keeper's thread

void ArtifactKeeper::look_around() {
    if (std::exchange(config_.tensor_digests, false)) {
        const auto kept = artifact::keep_tensor_digests(config_.artifacts_dir, config_.model_path,
                                                        [this] { return jobs_.stopping(); });
        if (!kept) spdlog::debug("no digests of tensors: {}", kept.error().message);
    }
    if (store_ == nullptr) return;
    store_->flush_touches();
    learn();
    if (!store_->wants_prune()) return;
    (void)store_->prune(config_.retention, now());
    learn();
}

bool ArtifactKeeper::open() {
    const auto give_up = [this](const std::string& why) {
        spdlog::warn("no artifacts: {}", why);
        const std::lock_guard lock(mutex_);
        why_failed_ = why;
        return false;
    };
    const std::filesystem::path folder = config_.artifacts_dir;
    const auto digest = artifact::weights_digest(folder, config_.model_path, [this] { return jobs_.stopping(); });
    if (!digest) {
        return digest.error().code != ErrorCode::kCancelled && give_up(digest.error().message);
    }
    // The digest is of what lies there now: states of other weights must not get its name.
    const FileStamps now_there = model_stamps(config_.model_path).value_or(FileStamps());
    if (!config_.loaded_files.empty() && !std::ranges::equal(now_there, config_.loaded_files, same_content)) {
        return give_up("the model file has changed since it was loaded");
    }
    parts_.weights = *digest;
    const artifact::Fingerprint fingerprint(parts_);
    artifact::StoreOptions options;
    options.folder = folder;
    options.byte_limit = config_.byte_limit;
    options.most_payload_bytes = most_block_bytes_;
    auto store = artifact::ArtifactStore::open(options, fingerprint);
    if (!store) return give_up(store.error().message);
    store_ = std::move(*store);
    learn();
    const std::lock_guard lock(mutex_);
    fingerprint_ = fingerprint;
    return true;
}

/// What there is on the disk now, other processes' blocks included.
void ArtifactKeeper::learn() {
    store_->refresh();
    std::vector<std::pair<ChainHash, KnownBlocks::Block>> blocks;
    for (const auto& entry : store_->entries(now())) {
        blocks.emplace_back(entry.hash, KnownBlocks::Block{entry.parent, entry.first, entry.bytes});
    }
    const auto stats = store_->stats();
    const std::lock_guard lock(mutex_);
    known_.replace(std::move(blocks));
    stats_ = {stats.artifacts, stats.bytes};
}

bool ArtifactKeeper::call(const std::function<void()>& job) {
    std::promise<bool> done;
    jobs_.post([&] { done.set_value(store_ != nullptr && survives("an order", job)); });
    return done.get_future().get();
}

// --- for the engine's threads

std::string ArtifactKeeper::why_not_ready() const {
    const std::lock_guard lock(mutex_);
    return failed_ ? "the artifact folder cannot be used: " + why_failed_
                   : "the model file is still being hashed, which it is once";
}

/// Under the lock.
void ArtifactKeeper::count_failure(const std::string& why) {
    if (written_.failed++ == 0) written_.problem = why;
}

bool ArtifactKeeper::ready(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    opened_.wait_for(lock, patience, [&] { return failed_ || fingerprint_.has_value(); });
    return fingerprint_.has_value();
}

std::filesystem::path ArtifactKeeper::path_of(const ChainHash& hash) const {
    const std::lock_guard lock(mutex_);
    return artifact::block_path(std::filesystem::path(config_.artifacts_dir) / fingerprint_->id(), hash);
}

std::vector<ArtifactKeeper::Find> ArtifactKeeper::find(std::string_view salt, std::span<const sched::Token> chain) {
    std::vector<Find> found;
    std::vector<std::pair<ChainHash, KnownBlocks::Tokens>> siblings;
    int depth = 0;
    {
        const std::lock_guard lock(mutex_);
        if (!fingerprint_ || known_.empty()) return found;
        ChainHash last = artifact::chain_root(fingerprint_->digest(), salt);
        for (const ChainHash& hash : known_.beginning_of(last, chain)) {
            found.push_back({hash, depth, kBlockTokens});
            depth += kBlockTokens;
            last = hash;
        }
        siblings = known_.after(last, kMostSiblings);
    }
    const auto rest = chain.subspan(depth, std::min<std::size_t>(chain.size() - depth, kBlockTokens));
    Find best{{}, depth, 0};
    for (auto& [hash, tokens] : siblings) {
        if (tokens.empty()) {
            const auto head = artifact::read_head(path_of(hash));
            if (!head) continue;
            tokens = head->info.tokens;
            const std::lock_guard lock(mutex_);
            known_.set_tokens(hash, tokens);
        }
        if (const int n = n_common(tokens, rest); n > best.n_common) best = {hash, depth, n};
    }
    if (best.n_common >= kLeastCommonTokens) found.push_back(best);
    return found;
}

void ArtifactKeeper::fetch(std::vector<Find> blocks,
                           std::function<void(std::vector<Fetched>, std::chrono::microseconds)> done) {
    jobs_.post([this, blocks = std::move(blocks), done = std::move(done)] {
        std::this_thread::sleep_for(config_.read_delay);
        const auto began = Clock::now();
        std::vector<Fetched> fetched;
        const auto read_one = [&](const Find& wanted) {
            auto block = store_->get(wanted.hash, now());
            if (!block || block->info.first != wanted.first) {
                const std::lock_guard lock(mutex_);
                known_.forget(wanted.hash);
                return false;
            }
            llama::KvState state;
            state.size = block->payload.size();
            state.data.reset(new (std::nothrow) std::uint8_t[state.size]);
            if (state.data == nullptr) return false;
            std::memcpy(state.data.get(), block->payload.data(), state.size);
            fetched.push_back({std::move(block->info), std::move(state)});
            jobs_.progress().advance();
            return true;
        };
        // Who waits is told in any case.
        survives("a read", [&] {
            for (const Find& wanted : blocks) {
                if (store_ == nullptr || !read_one(wanted)) break;
            }
        });
        done(std::move(fetched), std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began));
    });
}

bool ArtifactKeeper::has(std::string_view salt, std::span<const sched::Token> chain) {
    const std::lock_guard lock(mutex_);
    if (!fingerprint_) return true;  // nothing can be kept yet
    return !chain.empty() && known_.contains(last_block(*fingerprint_, salt, chain).hash);
}

void ArtifactKeeper::keep(std::string_view salt, std::span<const sched::Token> chain,
                          std::optional<artifact::Canary> canary, std::uint64_t compute_us,
                          std::shared_ptr<const llama::KvState> state) {
    auto info = std::make_shared<artifact::BlockInfo>();
    {
        const std::lock_guard lock(mutex_);
        if (!fingerprint_) return count_failure("the artifact folder is not ready");
        if (pending_bytes_ + state->size > kMostPendingBytes) return count_failure("too much waits for the disk");
        info->fingerprint = fingerprint_->digest();
        const artifact::ChainBlock block = last_block(*fingerprint_, salt, chain);
        info->parent = block.parent;
        info->hash = block.hash;
        info->first = block.first;
        info->tokens.assign(chain.begin() + block.first, chain.end());
        info->canary = std::move(canary);
        info->compute_us = compute_us;
        pending_bytes_ += state->size;
        known_.add(info->hash, {info->parent, info->first, state->size, info->tokens});
    }
    jobs_.post([this, info, state = std::move(state)] {
        const auto bytes = std::as_bytes(std::span(state->data.get(), state->size));
        Result<artifact::ArtifactStore::Put> put = fail(ErrorCode::kInternal, "the store failed");
        survives("a write", [&] { put = store_->put(*info, bytes, now()); });
        const auto stats = store_->stats();
        const std::lock_guard lock(mutex_);
        pending_bytes_ -= state->size;
        stats_ = {stats.artifacts, stats.bytes};
        if (!put) {
            known_.forget(info->hash);
            count_failure(put.error().message);
            spdlog::warn("an artifact was not written: {}", put.error().message);
        } else if (*put == artifact::ArtifactStore::Put::kWritten) {
            ++written_.saved;
            written_.bytes += state->size;
        }
    });
}

void ArtifactKeeper::reject(const ChainHash& hash) {
    jobs_.post([this, hash] {
        if (store_ != nullptr) store_->reject(hash);
        const std::lock_guard lock(mutex_);
        known_.forget(hash);
    });
}

ArtifactReport ArtifactKeeper::flush(std::chrono::milliseconds patience) {
    const bool in_time = jobs_.wait_until_idle(patience);
    const std::lock_guard lock(mutex_);
    if (!in_time) {
        count_failure(fmt::format("the disk did not take it within {} s",
                                  std::chrono::duration_cast<std::chrono::seconds>(patience).count()));
    }
    return std::exchange(written_, {});
}

Result<ArtifactReport> ArtifactKeeper::prune() {
    Result<artifact::PruneReport> done;
    if (!call([&] {
            done = store_->prune(config_.retention, now());
            learn();
        })) {
        return fail(ErrorCode::kUnavailable, why_not_ready());
    }
    if (!done) return std::unexpected(done.error());
    if (done->busy) return fail(ErrorCode::kUnavailable, "another process is removing artifacts right now");
    return ArtifactReport{.removed = done->removed,
                          .bytes = done->removed_bytes,
                          .failed = done->failed,
                          .problem = std::move(done->why)};
}

ArtifactKeeper::Best ArtifactKeeper::best(std::uint64_t most_bytes) {
    Best best;
    std::vector<ChainHash> wanted;
    if (!call([&] {
            learn();
            for (const auto& entry : store_->entries(now())) wanted.push_back(entry.hash);
        })) {
        return best;
    }
    const std::lock_guard lock(mutex_);
    KnownBlocks::Paths paths = known_.best_paths(wanted, artifact::chain_root(fingerprint_->digest(), ""), most_bytes);
    best.without_room = paths.without_room;
    for (const std::vector<ChainHash>& path : paths.within) {
        std::vector<Find>& chain = best.chains.emplace_back();
        for (const ChainHash& hash : path) chain.push_back({hash, known_.find(hash)->first, kBlockTokens});
    }
    return best;
}

ArtifactKeeper::Stats ArtifactKeeper::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace sutazai::engine
