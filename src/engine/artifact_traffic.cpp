#include "engine/artifact_traffic.h"

#include <algorithm>
#include <utility>

namespace sutazai::engine {
namespace {

constexpr auto kBlock = static_cast<std::size_t>(artifact::kBlockTokens);
/// Fetching less than this beyond what is in memory is not worth the wait.
constexpr int kLeastGainTokens = 32;
/// While requests run, a hot block is written every so many steps.
constexpr int kStepsBetweenHotBlocks = 16;
/// So many canaries are asked for at a time at most; each takes as long as a token.
constexpr int kMostCanaries = 32;

std::span<const Token> first(const std::vector<Token>& tokens, std::size_t n) {
    return std::span(tokens).first(n);
}

std::int64_t seconds(sched::Time time) {
    return std::chrono::floor<std::chrono::seconds>(time).count();
}

}  // namespace

ArtifactTraffic::ArtifactTraffic(EngineState& state, HostStates& states, ArtifactKeeper* keeper, Mailbox& mailbox)
    : state_(state), states_(states), keeper_(keeper), mailbox_(mailbox) {}

// --- what a prompt needs

bool ArtifactTraffic::fetch_first(Prepared& prepared) {
    if (prepared.on_disk.empty()) return false;
    const sched::Scheduler& scheduler = state_.scheduler;
    const std::vector<ArtifactKeeper::Find>& on_disk = prepared.on_disk;
    const int n_disk =
        std::min(on_disk.back().first + on_disk.back().n_common, static_cast<int>(prepared.prompt.size()) - 1);
    const int gain = n_disk - scheduler.reusable(prepared.salt(), first(prepared.prompt, prepared.prompt.size() - 1));
    if (gain < kLeastGainTokens) return false;
    if (fetch_cost_.of(gain) > gain * scheduler.cost().per_prefill_token()) return false;
    const int in_host =
        scheduler.host().covered(prepared.salt(), first(prepared.prompt, static_cast<std::size_t>(n_disk)));
    const auto from = static_cast<std::size_t>(in_host) / kBlock;
    if (from >= on_disk.size()) return false;
    std::vector<ArtifactKeeper::Find> wanted(on_disk.begin() + static_cast<std::ptrdiff_t>(from), on_disk.end());
    int n_tokens = 0;
    for (const auto& block : wanted) n_tokens += block.n_common;
    const RequestId id = prepared.id;
    waiting_.add(std::move(prepared));
    keeper_->fetch(std::move(wanted),
                   [&mailbox = mailbox_, id, n_tokens](std::vector<ArtifactKeeper::Fetched> blocks, sched::Time took) {
                       mailbox.post(FetchedBlocks{id, std::move(blocks), n_tokens, took});
                   });
    return true;
}

std::optional<Prepared> ArtifactTraffic::take(FetchedBlocks fetched) {
    fetch_cost_.observe(fetched.n_tokens, fetched.took);
    std::optional<Prepared> prepared = waiting_.take(fetched.request);
    if (prepared) {
        const int n_blocks = states_.import(prepared->salt(), prepared->prompt, std::move(fetched.blocks));
        prepared->fetched_tokens = n_blocks * static_cast<int>(kBlock);
    }
    return prepared;
}

void ArtifactTraffic::expire(const QueueTimeout& timeout, StepReport& report) {
    for (const Prepared& late : waiting_.take_late(timeout)) report.fail(late.wanted(), timeout.error());
}

// --- what is reused

void ArtifactTraffic::note_salt(const Prepared& prepared) {
    if (keeper_ != nullptr) salts_.try_emplace(prepared.salt(), prepared.request.cache_salt);
}

void ArtifactTraffic::note_reuse(RequestId request, const std::string& salt, int cached_tokens) {
    if (keeper_ == nullptr) return;
    const auto cached = first(state_.scheduler.tokens(request), static_cast<std::size_t>(cached_tokens));
    const std::size_t whole = before_images(cached).size() / kBlock * kBlock;
    if (whole == 0) return;
    const auto prefix = cached.first(whole);
    if (keeper_->has(salt, prefix)) return;
    hot_.note(salt, prefix, seconds(state_.now()), token_cost());
}

void ArtifactTraffic::keep_one_hot_block() {
    if (hot_.empty()) return;
    const bool idle = state_.scheduler.idle();
    if (!idle && ++steps_since_hot_ < kStepsBetweenHotBlocks) return;
    steps_since_hot_ = 0;
    artifact::HotChain& hot = hot_.best(seconds(state_.now()), token_cost());
    const std::uint64_t salt = std::hash<std::string>{}(hot.salt);
    while (!hot.done()) {
        const auto tokens = hot.next();
        hot.n_done += kBlock;
        if (keeper_->has(hot.salt, tokens)) continue;
        const sched::SlotId slot = state_.scheduler.holder(salt, tokens);
        std::shared_ptr<const llama::KvState> state = state_of(salt, tokens, slot);
        if (state == nullptr) break;  // it has been pushed out meanwhile, and what follows is of no use without it
        std::optional<artifact::Canary> canary;
        if (idle && slot != sched::kNoSlot) canary = canary_of(slot, tokens);
        keeper_->keep(hot.salt, tokens, std::move(canary), compute_us_per_block(), std::move(state));
        return;
    }
    hot_.drop(hot);
}

/// Of the whole block that ends `tokens`: from host memory, or copied from `slot`.
std::shared_ptr<const llama::KvState> ArtifactTraffic::state_of(std::uint64_t salt, std::span<const Token> tokens,
                                                                sched::SlotId slot) {
    const auto pieces = state_.scheduler.host().find(salt, tokens);
    if (pieces.size() * kBlock == tokens.size() && pieces.back().n_tokens == artifact::kBlockTokens) {
        const HostState* host = states_.find(pieces.back().block);
        if (host != nullptr && host->state != nullptr) return host->state;
    }
    if (slot == sched::kNoSlot) return nullptr;
    auto copied = state_.model->save(slot, static_cast<int>(tokens.size() - kBlock), artifact::kBlockTokens);
    return copied ? std::make_shared<const llama::KvState>(std::move(*copied)) : nullptr;
}

ArtifactTraffic::Kept ArtifactTraffic::collect_unwritten() {
    sched::Scheduler& scheduler = state_.scheduler;
    Kept kept;
    scheduler.save_all();
    (void)states_.apply(scheduler.take_operations());  // no Loads among them
    int canaries = 0;
    scheduler.host().for_each([&](std::uint64_t salt, std::span<const Token> tokens, sched::BlockId id, bool leaf) {
        const auto name = salts_.find(salt);
        const HostState* host = states_.find(id);
        if (name == salts_.end() || host == nullptr) return;
        if (host->state == nullptr) {
            ++kept.n_uncopied;
            return;
        }
        if (before_images(tokens).size() < tokens.size()) return;
        const std::size_t n_last = (tokens.size() - 1) % kBlock + 1;
        if (n_last < static_cast<std::size_t>(kLeastGainTokens)) return;
        if (host->name || keeper_->has(name->second, tokens)) return;
        Unwritten block{name->second, {tokens.begin(), tokens.end()}, {}, host->state};
        const sched::SlotId slot = leaf && canaries < kMostCanaries ? scheduler.holder(salt, tokens) : sched::kNoSlot;
        if (slot != sched::kNoSlot) {
            block.canary = canary_of(slot, tokens);
            ++canaries;
        }
        kept.blocks.push_back(std::move(block));
    });
    return kept;
}

std::optional<artifact::Canary> ArtifactTraffic::canary_of(sched::SlotId slot, std::span<const Token> tokens) {
    const float* logits = state_.model->logits_after(slot, static_cast<int>(tokens.size()), tokens.back());
    if (logits == nullptr) return std::nullopt;
    return artifact::make_canary({logits, static_cast<std::size_t>(state_.model->properties().vocabulary)});
}

std::uint64_t ArtifactTraffic::compute_us_per_block() const {
    return static_cast<std::uint64_t>((artifact::kBlockTokens * state_.scheduler.cost().per_prefill_token()).count());
}

artifact::TokenCost ArtifactTraffic::token_cost() const {
    return {static_cast<double>(state_.scheduler.cost().per_prefill_token().count()),
            static_cast<double>(state_.model->properties().state_bytes_per_token)};
}

}  // namespace sutazai::engine
