#include "engine/artifact_orders.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/byte_text.h"

namespace sutazai::engine {
namespace {

constexpr std::chrono::milliseconds kFlushPatience{60'000};

/// Tells in the log that somebody waits for the disk, and how far it is.
class Writing {
  public:
    explicit Writing(const std::vector<ArtifactTraffic::Unwritten>& blocks) {
        for (const auto& block : blocks) all_bytes_ += block.state->size;
        if (all_bytes_ > 0) spdlog::info("writing {} of artifacts", byte_text(all_bytes_));
    }
    void wrote(std::uint64_t bytes) {
        bytes_ += bytes;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_word_ || bytes_ >= all_bytes_) return;
        next_word_ = now + kBetweenWords;
        spdlog::info("{} of {} of artifacts are written", byte_text(bytes_), byte_text(all_bytes_));
    }

  private:
    static constexpr std::chrono::seconds kBetweenWords{3};
    std::uint64_t bytes_ = 0;
    std::uint64_t all_bytes_ = 0;
    std::chrono::steady_clock::time_point next_word_ = std::chrono::steady_clock::now() + kBetweenWords;
};

std::unexpected<Error> being_stopped() {
    return fail(ErrorCode::kUnavailable, "the engine is being stopped");
}

}  // namespace

ArtifactOrders::ArtifactOrders(EngineState& state, HostStates& states, ArtifactTraffic& traffic, ArtifactKeeper* keeper,
                               Mailbox& mailbox)
    : state_(state), states_(states), traffic_(traffic), keeper_(keeper), mailbox_(mailbox) {}

Result<ArtifactReport> ArtifactOrders::carry_out(ArtifactAction action, std::chrono::milliseconds patience) {
    if (keeper_ == nullptr) {
        return fail(ErrorCode::kUnavailable,
                    state_.model->properties().state_bytes_per_token == 0
                        ? "the KV memory of this model cannot be taken apart, so it has no artifacts"
                        : "artifacts are switched off (CACHE_ARTIFACT_BYTES or PREFIX_CACHE_BYTES is 0)");
    }
    if (!keeper_->ready(patience)) {
        return fail(ErrorCode::kUnavailable, keeper_->why_not_ready());
    }
    struct AtWork {
        std::atomic<bool>& flag;
        explicit AtWork(std::atomic<bool>& it) : flag(it) { flag = true; }
        ~AtWork() { flag = false; }
    };
    const AtWork at_work(at_work_);
    switch (action) {
        case ArtifactAction::kSave: return save();
        case ArtifactAction::kRestore: return restore();
        case ArtifactAction::kPrune: return keeper_->prune();
    }
    return fail(ErrorCode::kInternal, "unknown action");
}

Result<ArtifactReport> ArtifactOrders::save() {
    ArtifactTraffic::Kept kept;
    std::uint64_t compute_us = 0;
    const bool collected = mailbox_.run([&] {
        compute_us = traffic_.compute_us_per_block();
        kept = traffic_.collect_unwritten();
    });
    if (!collected) return being_stopped();
    ArtifactReport total = keeper_->flush(kFlushPatience);
    // What went wrong in the background before is tried again now.
    total.failed = kept.n_uncopied;
    total.problem = kept.n_uncopied > 0 ? "there was no memory to copy them" : "";
    Writing writing(kept.blocks);
    for (ArtifactTraffic::Unwritten& block : kept.blocks) {
        const std::uint64_t bytes = block.state->size;
        keeper_->keep(block.salt, block.tokens, std::move(block.canary), compute_us, std::move(block.state));
        // One at a time: the keeper takes no more than it can hold.
        const ArtifactReport written = keeper_->flush(kFlushPatience);
        total.saved += written.saved;
        total.bytes += written.bytes;
        total.failed += written.failed;
        if (total.problem.empty()) total.problem = written.problem;
        writing.wrote(bytes);
    }
    if (total.failed > 0) {
        total.problem = fmt::format("{} of {} artifacts were not written: {}", total.failed, total.failed + total.saved,
                                    total.problem);
    }
    return total;
}

Result<ArtifactReport> ArtifactOrders::restore() {
    const sched::BlockCache& host = state_.scheduler.host();
    ArtifactReport total;
    std::uint64_t room = 0;
    if (!mailbox_.run([&] { room = host.budget() - host.bytes(); })) return being_stopped();
    ArtifactKeeper::Best best = keeper_->best(room);
    for (std::vector<ArtifactKeeper::Find>& sequence : best.chains) {
        const std::size_t n_wanted = sequence.size();
        std::promise<std::vector<ArtifactKeeper::Fetched>> fetched;
        keeper_->fetch(std::move(sequence), [&](std::vector<ArtifactKeeper::Fetched> blocks, sched::Time /*took*/) {
            fetched.set_value(std::move(blocks));
        });
        std::vector<ArtifactKeeper::Fetched> blocks = fetched.get_future().get();
        total.failed += n_wanted - std::min(n_wanted, blocks.size());
        const bool taken = mailbox_.run([&] {
            const std::uint64_t before = host.bytes();
            const int n_taken = states_.import(std::hash<std::string>{}(""), {}, std::move(blocks));
            total.restored += static_cast<std::uint64_t>(n_taken);
            total.bytes += host.bytes() - std::min(before, host.bytes());
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

}  // namespace sutazai::engine
