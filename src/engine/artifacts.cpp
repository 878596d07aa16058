// The engine's traffic with its artifacts: what a prompt needs is fetched before the prompt is scheduled, what is
// reused is written while there is time, and all that is kept is written when somebody asks or the engine ends.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>

#include "engine/engine.h"

namespace sutazai::engine {
namespace {

constexpr auto kBlockTokens = static_cast<std::size_t>(artifact::kBlockTokens);
/// Fetching less than this beyond what is in memory is not worth the wait.
constexpr int kLeastGainTokens = 32;
/// While requests run, a hot block is written every so many steps.
constexpr int kStepsBetweenHotBlocks = 16;
/// A save asks the model for so many canaries at most; each takes as long as a token.
constexpr int kMostCanaries = 32;
constexpr std::chrono::milliseconds kFlushPatience{60'000};

std::unexpected<Error> being_stopped() {
    return fail(ErrorCode::kUnavailable, "the engine is being stopped");
}

std::span<const Token> first(const std::vector<Token>& tokens, std::size_t n) {
    return std::span(tokens).first(n);
}

}  // namespace

/// True when the request waits for artifacts that are worth the read.
bool Engine::fetch_first(Prepared& prepared) {
    if (prepared.on_disk.empty()) return false;
    const std::vector<ArtifactKeeper::Find>& on_disk = prepared.on_disk;
    const int n_disk =
        std::min(on_disk.back().first + on_disk.back().n_common, static_cast<int>(prepared.prompt.size()) - 1);
    const int gain = n_disk - scheduler_.reusable(prepared.salt(), first(prepared.prompt, prepared.prompt.size() - 1));
    if (gain < kLeastGainTokens) return false;
    if (fetch_cost_.of(gain) > gain * scheduler_.cost().per_prefill_token()) return false;
    const int in_host =
        scheduler_.host().covered(prepared.salt(), first(prepared.prompt, static_cast<std::size_t>(n_disk)));
    const auto from = static_cast<std::size_t>(in_host) / kBlockTokens;
    if (from >= on_disk.size()) return false;
    std::vector<ArtifactKeeper::Find> wanted(on_disk.begin() + static_cast<std::ptrdiff_t>(from), on_disk.end());
    int n_tokens = 0;
    for (const auto& block : wanted) n_tokens += block.n_common;
    const RequestId id = prepared.id;
    fetching_.emplace(id, std::move(prepared));
    keeper_->fetch(std::move(wanted),
                   [this, id, n_tokens](std::vector<ArtifactKeeper::Fetched> blocks, sched::Time took) {
                       {
                           const std::lock_guard lock(mutex_);
                           fetched_.push_back({id, std::move(blocks), n_tokens, took});
                       }
                       inbox_ready_.notify_one();
                   });
    return true;
}

void Engine::take_fetched(Fetched fetched, StepReport& report) {
    fetch_cost_.observe(fetched.n_tokens, fetched.took);
    const auto found = fetching_.find(fetched.request);
    if (found == fetching_.end()) return;  // cancelled meanwhile
    Prepared prepared = std::move(found->second);
    fetching_.erase(found);
    import(prepared.salt(), prepared.prompt, std::move(fetched.blocks));
    start(std::move(prepared), report);
}

/// Takes blocks of a chain into host memory. `before` holds the tokens in front of the first of them. Returns how many.
int Engine::import(std::uint64_t salt, std::span<const Token> before, std::vector<ArtifactKeeper::Fetched> blocks) {
    if (blocks.empty()) return 0;
    const auto begin = before.begin();
    std::vector<Token> chain(begin, begin + blocks.front().info.first);
    int taken = 0;
    for (ArtifactKeeper::Fetched& block : blocks) {
        chain.insert(chain.end(), block.info.tokens.begin(), block.info.tokens.end());
        const sched::BlockId id = scheduler_.import(salt, chain, block.state.size);
        if (id == sched::kNoBlock) continue;
        host_states_.emplace(id, HostState{std::make_shared<const KvState>(std::move(block.state)), block.info.hash,
                                           std::move(block.info.canary), block.info.tokens.back(),
                                           static_cast<int>(block.info.tokens.size())});
        ++taken;
    }
    return taken;
}

artifact::TokenCost Engine::token_cost() const {
    return {static_cast<double>(scheduler_.cost().per_prefill_token().count()),
            static_cast<double>(model_->properties().state_bytes_per_token)};
}

/// A prefix that somebody has used again is worth an artifact.
void Engine::note_reuse(RequestId request, const std::string& salt, int cached_tokens) {
    const std::size_t whole = static_cast<std::size_t>(cached_tokens) / kBlockTokens * kBlockTokens;
    if (keeper_ == nullptr || whole == 0) return;
    const std::vector<Token>& chain = scheduler_.chain(request);
    if (keeper_->has(salt, first(chain, whole))) return;
    hot_.note(salt, first(chain, whole), std::chrono::floor<std::chrono::seconds>(now()).count(), token_cost());
}

/// Writes one block of the most valuable hot chain, with a canary when nobody has to wait for it.
void Engine::keep_one_hot_block() {
    if (hot_.empty()) return;
    const bool idle = scheduler_.idle();
    if (!idle && ++steps_since_hot_ < kStepsBetweenHotBlocks) return;
    steps_since_hot_ = 0;
    artifact::HotChain& hot = hot_.best(std::chrono::floor<std::chrono::seconds>(now()).count(), token_cost());
    const std::uint64_t salt = std::hash<std::string>{}(hot.salt);
    while (!hot.done()) {
        const auto chain = hot.next();
        hot.n_done += kBlockTokens;
        if (keeper_->has(hot.salt, chain)) continue;
        std::shared_ptr<const KvState> state;
        const sched::SlotId slot = scheduler_.holder(salt, chain);
        if (const auto pieces = scheduler_.host().find(salt, chain);
            pieces.size() * kBlockTokens == chain.size() && pieces.back().n_tokens == artifact::kBlockTokens) {
            // Blocks that are to be copied by operations that still wait have no state yet.
            const auto host = host_states_.find(pieces.back().block);
            if (host != host_states_.end()) state = host->second.state;
        }
        if (state == nullptr && slot != sched::kNoSlot) {
            auto copied = model_->save(slot, static_cast<int>(chain.size() - kBlockTokens), artifact::kBlockTokens);
            if (copied) state = std::make_shared<const KvState>(std::move(*copied));
        }
        if (state == nullptr) break;  // it has been pushed out meanwhile, and what follows is of no use without it
        std::optional<artifact::Canary> canary;
        if (idle && slot != sched::kNoSlot) canary = canary_of(slot, chain);
        keeper_->keep(
            hot.salt, chain, std::move(canary),
            static_cast<std::uint64_t>((artifact::kBlockTokens * scheduler_.cost().per_prefill_token()).count()),
            std::move(state));
        return;
    }
    hot_.drop(hot);
}

std::optional<artifact::Canary> Engine::canary_of(sched::SlotId slot, std::span<const Token> chain) {
    const float* logits = model_->logits_after(slot, static_cast<int>(chain.size()), chain.back());
    if (logits == nullptr) return std::nullopt;
    return artifact::make_canary({logits, static_cast<std::size_t>(model_->properties().vocabulary)});
}

// --- on request

bool Engine::run_on_decode_thread(const std::function<void()>& task) {
    auto done = std::make_shared<std::promise<void>>();
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        tasks_.push_back([&task, done] {
            task();
            done->set_value();
        });
    }
    inbox_ready_.notify_one();
    const auto finished = done->get_future();
    while (finished.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
        const std::lock_guard lock(mutex_);
        // A task that was not taken never will be; one that was is waited for.
        if (stopping_ && std::erase_if(tasks_, [](const auto&) { return true; }) > 0) return false;
    }
    return true;
}

Result<ArtifactReport> Engine::save_artifacts() {
    struct Block {
        std::string salt;
        std::vector<Token> chain;
        std::optional<artifact::Canary> canary;
        std::shared_ptr<const KvState> state;
    };
    std::vector<Block> blocks;
    std::uint64_t compute_us = 0;
    std::uint64_t n_uncopied = 0;
    const bool copied = run_on_decode_thread([&] {
        compute_us =
            static_cast<std::uint64_t>((artifact::kBlockTokens * scheduler_.cost().per_prefill_token()).count());
        scheduler_.save_all();
        (void)apply_ops(scheduler_.take_operations());  // no Loads among them
        int canaries = 0;
        scheduler_.host().for_each([&](std::uint64_t salt, std::span<const Token> chain, sched::BlockId id, bool leaf) {
            const auto name = salts_.find(salt);
            const auto host = host_states_.find(id);
            if (name == salts_.end() || host == host_states_.end()) return;
            if (host->second.state == nullptr) {
                ++n_uncopied;
                return;
            }
            const std::size_t n_last = (chain.size() - 1) % kBlockTokens + 1;
            if (n_last < static_cast<std::size_t>(kLeastGainTokens)) return;
            if (host->second.name || keeper_->has(name->second, chain)) return;
            Block block{name->second, {chain.begin(), chain.end()}, {}, host->second.state};
            const sched::SlotId slot =
                leaf && canaries < kMostCanaries ? scheduler_.holder(salt, chain) : sched::kNoSlot;
            if (slot != sched::kNoSlot) {
                block.canary = canary_of(slot, chain);
                ++canaries;
            }
            blocks.push_back(std::move(block));
        });
    });
    if (!copied) return being_stopped();
    ArtifactReport total = keeper_->flush(kFlushPatience);
    // What went wrong in the background before is tried again now.
    total.failed = n_uncopied;
    total.problem = n_uncopied > 0 ? "there was no memory to copy them" : "";
    for (Block& block : blocks) {
        keeper_->keep(block.salt, block.chain, std::move(block.canary), compute_us, std::move(block.state));
        // One at a time: the keeper takes no more than it can hold.
        const ArtifactReport written = keeper_->flush(kFlushPatience);
        total.saved += written.saved;
        total.bytes += written.bytes;
        total.failed += written.failed;
        if (total.problem.empty()) total.problem = written.problem;
    }
    if (total.failed > 0) {
        total.problem = fmt::format("{} of {} artifacts were not written: {}", total.failed, total.failed + total.saved,
                                    total.problem);
    }
    return total;
}

Result<ArtifactReport> Engine::restore_artifacts() {
    ArtifactReport total;
    std::uint64_t room = 0;
    const auto look = [&] { room = scheduler_.host().budget() - scheduler_.host().bytes(); };
    if (!run_on_decode_thread(look)) return being_stopped();
    ArtifactKeeper::Best best = keeper_->best(room);
    for (std::vector<ArtifactKeeper::Find>& chain : best.chains) {
        const std::size_t n_wanted = chain.size();
        std::promise<std::vector<ArtifactKeeper::Fetched>> fetched;
        keeper_->fetch(std::move(chain), [&](std::vector<ArtifactKeeper::Fetched> blocks, sched::Time /*took*/) {
            fetched.set_value(std::move(blocks));
        });
        std::vector<ArtifactKeeper::Fetched> blocks = fetched.get_future().get();
        total.failed += n_wanted - std::min(n_wanted, blocks.size());
        const bool taken = run_on_decode_thread([&] {
            const std::uint64_t before = scheduler_.host().bytes();
            total.restored += static_cast<std::uint64_t>(import(std::hash<std::string>{}(""), {}, std::move(blocks)));
            total.bytes += scheduler_.host().bytes() - std::min(before, scheduler_.host().bytes());
        });
        if (!taken) return being_stopped();
    }
    if (total.failed > 0) {
        total.problem = fmt::format("{} artifacts could not be read back", total.failed);
    } else if (total.restored == 0 && best.chains.empty() && best.without_room > 0) {
        total.problem = "PREFIX_CACHE_BYTES has no room left for what is on the disk";
    }
    return total;
}

Result<ArtifactReport> Engine::artifacts(ArtifactAction action, std::chrono::milliseconds patience) {
    if (keeper_ == nullptr) {
        return fail(ErrorCode::kUnavailable,
                    model_->properties().state_bytes_per_token == 0
                        ? "the KV memory of this model cannot be taken apart, so it has no artifacts"
                        : "artifacts are switched off (CACHE_ARTIFACT_BYTES or PREFIX_CACHE_BYTES is 0)");
    }
    if (!keeper_->ready(patience)) {
        return fail(ErrorCode::kUnavailable, keeper_->why_not_ready());
    }
    struct Ordered {
        std::atomic<bool>& flag;
        explicit Ordered(std::atomic<bool>& it) : flag(it) { flag = true; }
        ~Ordered() { flag = false; }
    };
    const Ordered ordered(ordered_);
    switch (action) {
        case ArtifactAction::kSave: return save_artifacts();
        case ArtifactAction::kRestore: return restore_artifacts();
        case ArtifactAction::kPrune: return keeper_->prune();
    }
    return fail(ErrorCode::kInternal, "unknown action");
}

}  // namespace sutazai::engine
