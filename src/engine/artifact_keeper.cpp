#include "engine/artifact_keeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <future>

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

/// Whatever the disk and the memory do, the keeper's thread goes on: what cannot be kept is computed again.
template <typename Work>
bool survives(const char* what, Work&& work) {
    try {
        work();
        return true;
    } catch (const std::exception& e) {
        spdlog::error("cache artifacts: {} failed: {}", what, e.what());
        return false;
    }
}

}  // namespace

ArtifactKeeper::ArtifactKeeper(ArtifactConfig config, artifact::FingerprintParts parts, std::uint64_t most_block_bytes)
    : config_(std::move(config)), parts_(std::move(parts)), most_block_bytes_(most_block_bytes) {
    thread_ = std::jthread([this] { run(); });
}

ArtifactKeeper::~ArtifactKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        jobs_.clear();
    }
    changed_.notify_all();
}

// --- the keeper's thread

void ArtifactKeeper::run() {
    bool opened = false;
    survives("opening the folder", [&] { opened = open(); });
    {
        const std::lock_guard lock(mutex_);
        failed_ = !opened;
    }
    changed_.notify_all();
    auto next_refresh = Clock::now() + kRefresh;
    std::unique_lock lock(mutex_);
    while (true) {
        busy_ = false;
        changed_.notify_all();
        changed_.wait_until(lock, next_refresh, [&] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        busy_ = true;
        if (!jobs_.empty()) {
            const auto job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            {
                const Progress::Turn turn(progress_);
                survives("a job", job);
            }
            lock.lock();
            continue;
        }
        lock.unlock();
        survives("looking at the folder", [&] { look_around(); });
        next_refresh = Clock::now() + kRefresh;
        lock.lock();
    }
}

void ArtifactKeeper::look_around() {
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
    const std::filesystem::path folder = config_.folder;
    const auto digest = artifact::weights_digest(folder, config_.model_path, [this] {
        const std::lock_guard lock(mutex_);
        return stopping_;
    });
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
    const std::vector<artifact::ArtifactStore::Entry> entries = store_->entries(now());
    const std::lock_guard lock(mutex_);
    std::unordered_map<ChainHash, Known, DigestHash> before;
    before.swap(known_);
    children_.clear();
    for (const auto& entry : entries) {
        Known known{entry.parent, entry.first, entry.bytes, {}};
        if (const auto old = before.find(entry.hash); old != before.end()) known.tokens = std::move(old->second.tokens);
        add_known(entry.hash, std::move(known));
    }
    const auto stats = store_->stats();
    stats_ = {stats.artifacts, stats.bytes};
}

void ArtifactKeeper::add_known(const ChainHash& hash, Known known) {
    const ChainHash parent = known.parent;
    if (known_.emplace(hash, std::move(known)).second) children_[parent].push_back(hash);
}

void ArtifactKeeper::forget(const ChainHash& hash) {
    const auto found = known_.find(hash);
    if (found == known_.end()) return;
    std::erase(children_[found->second.parent], hash);
    known_.erase(found);
}

void ArtifactKeeper::post(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
}

bool ArtifactKeeper::call(const std::function<void()>& job) {
    std::promise<bool> done;
    post([&] { done.set_value(store_ != nullptr && survives("an order", job)); });
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
    changed_.wait_for(lock, patience, [&] { return failed_ || stopping_ || fingerprint_.has_value(); });
    return fingerprint_.has_value();
}

std::vector<ArtifactKeeper::Find> ArtifactKeeper::find(std::string_view salt, std::span<const sched::Token> chain) {
    std::vector<Find> found;
    std::vector<std::pair<ChainHash, std::vector<sched::Token>>> siblings;
    ChainHash parent;
    int depth = 0;
    {
        const std::lock_guard lock(mutex_);
        if (!fingerprint_ || known_.empty()) return found;
        parent = artifact::chain_root(fingerprint_->digest(), salt);
        while (static_cast<int>(chain.size()) - depth >= kBlockTokens) {
            const ChainHash hash = artifact::chain_hash(parent, chain.subspan(depth, kBlockTokens));
            if (!known_.contains(hash)) break;
            found.push_back({hash, depth, kBlockTokens});
            parent = hash;
            depth += kBlockTokens;
        }
        if (const auto children = children_.find(parent); children != children_.end()) {
            for (const ChainHash& hash : children->second) {
                if (siblings.size() == kMostSiblings) break;
                siblings.emplace_back(hash, known_.at(hash).tokens);
            }
        }
    }
    const auto rest = chain.subspan(depth, std::min<std::size_t>(chain.size() - depth, kBlockTokens));
    Find best{{}, depth, 0};
    for (auto& [hash, tokens] : siblings) {
        if (tokens.empty()) {
            std::filesystem::path path;
            {
                const std::lock_guard lock(mutex_);
                path = std::filesystem::path(config_.folder) / fingerprint_->id();
            }
            const auto head = artifact::read_head(artifact::block_path(path, hash));
            if (!head) continue;
            tokens = head->info.tokens;
            const std::lock_guard lock(mutex_);
            if (const auto known = known_.find(hash); known != known_.end()) known->second.tokens = tokens;
        }
        if (const int n = n_common(tokens, rest); n > best.n_common) best = {hash, depth, n};
    }
    if (best.n_common >= kLeastCommonTokens) found.push_back(best);
    return found;
}

void ArtifactKeeper::fetch(std::vector<Find> blocks,
                           std::function<void(std::vector<Fetched>, std::chrono::microseconds)> done) {
    post([this, blocks = std::move(blocks), done = std::move(done)] {
        std::this_thread::sleep_for(config_.read_delay);
        const auto began = Clock::now();
        std::vector<Fetched> fetched;
        const auto read_one = [&](const Find& wanted) {
            auto block = store_->get(wanted.hash, now());
            if (!block || block->info.first != wanted.first) {
                const std::lock_guard lock(mutex_);
                forget(wanted.hash);
                return false;
            }
            llama::KvState state;
            state.size = block->payload.size();
            state.data.reset(new (std::nothrow) std::uint8_t[state.size]);
            if (state.data == nullptr) return false;
            std::memcpy(state.data.get(), block->payload.data(), state.size);
            fetched.push_back({std::move(block->info), std::move(state)});
            progress_.advance();
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
    ChainHash hash = artifact::chain_root(fingerprint_->digest(), salt);
    for (std::size_t at = 0; at < chain.size(); at += kBlockTokens) {
        hash = artifact::chain_hash(hash, chain.subspan(at, std::min<std::size_t>(kBlockTokens, chain.size() - at)));
    }
    return known_.contains(hash);
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
        info->parent = artifact::chain_root(info->fingerprint, salt);
        const std::size_t first = (chain.size() - 1) / kBlockTokens * kBlockTokens;
        for (std::size_t at = 0; at < first; at += kBlockTokens) {
            info->parent = artifact::chain_hash(info->parent, chain.subspan(at, kBlockTokens));
        }
        info->first = static_cast<int>(first);
        info->tokens.assign(chain.begin() + static_cast<std::ptrdiff_t>(first), chain.end());
        info->hash = artifact::chain_hash(info->parent, info->tokens);
        info->canary = std::move(canary);
        info->compute_us = compute_us;
        pending_bytes_ += state->size;
        add_known(info->hash, {info->parent, info->first, state->size, info->tokens});
    }
    post([this, info, state = std::move(state)] {
        const auto bytes = std::as_bytes(std::span(state->data.get(), state->size));
        Result<artifact::ArtifactStore::Put> put = fail(ErrorCode::kInternal, "the store failed");
        survives("a write", [&] { put = store_->put(*info, bytes, now()); });
        const auto stats = store_->stats();
        const std::lock_guard lock(mutex_);
        pending_bytes_ -= state->size;
        stats_ = {stats.artifacts, stats.bytes};
        if (!put) {
            forget(info->hash);
            count_failure(put.error().message);
            spdlog::warn("an artifact was not written: {}", put.error().message);
        } else if (*put == artifact::ArtifactStore::Put::kWritten) {
            ++written_.saved;
            written_.bytes += state->size;
        }
    });
}

void ArtifactKeeper::reject(const ChainHash& hash) {
    post([this, hash] {
        if (store_ != nullptr) store_->reject(hash);
        const std::lock_guard lock(mutex_);
        forget(hash);
    });
}

ArtifactReport ArtifactKeeper::flush(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const bool in_time = changed_.wait_for(
        lock, patience, [&] { return stopping_ || (pending_bytes_ == 0 && jobs_.empty() && !busy_); });
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
    std::vector<artifact::ArtifactStore::Entry> entries;
    if (!call([&] {
            learn();
            entries = store_->entries(now());
        })) {
        return best;
    }
    const std::lock_guard lock(mutex_);
    const ChainHash root = artifact::chain_root(fingerprint_->digest(), "");
    std::unordered_map<ChainHash, bool, DigestHash> taken;
    for (const auto& entry : entries) {
        std::vector<Find> chain;
        std::uint64_t bytes = 0;
        ChainHash hash = entry.hash;
        while (hash != root) {
            const auto known = known_.find(hash);
            if (known == known_.end()) break;
            chain.push_back({hash, known->second.first, kBlockTokens});
            if (!taken.contains(hash)) bytes += known->second.bytes;
            hash = known->second.parent;
        }
        if (hash != root || taken.contains(entry.hash)) continue;
        if (bytes > most_bytes) {
            ++best.without_room;
            continue;
        }
        most_bytes -= bytes;
        for (const Find& block : chain) taken[block.hash] = true;
        std::ranges::reverse(chain);
        best.chains.push_back(std::move(chain));
    }
    return best;
}

ArtifactKeeper::Stats ArtifactKeeper::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace sutazai::engine
