#include "engine/host_states.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace sutazai::engine {

using Clock = std::chrono::steady_clock;

bool HostStates::apply(std::span<const sched::KvOp> ops) {
    std::vector<sched::SlotId> incomplete;
    std::vector<sched::Load> loads;  // of the slot that is being filled
    const auto fail_load = [&](const sched::Load& load) {
        state_.scheduler.restore_failed(load);
        incomplete.push_back(load.slot);
    };
    const auto confirm_loads = [&] {
        if (!loads.empty() && !confirm(loads)) fail_load(loads.front());
        loads.clear();
    };
    for (const sched::KvOp& op : ops) {
        state_.progress.advance();
        const auto* load_op = std::get_if<sched::Load>(&op);
        if (load_op == nullptr || (!loads.empty() && loads.back().slot != load_op->slot)) confirm_loads();
        if (load_op != nullptr) {
            if (std::ranges::find(incomplete, load_op->slot) != incomplete.end()) continue;
            if (load(*load_op)) {
                loads.push_back(*load_op);
            } else {
                confirm_loads();
                if (incomplete.empty() || incomplete.back() != load_op->slot) fail_load(*load_op);
            }
        } else if (const auto* save_op = std::get_if<sched::Save>(&op)) {
            save(*save_op);
        } else if (const auto* drop = std::get_if<sched::Drop>(&op)) {
            states_.erase(drop->block);
        } else {
            state_.model->apply(op);
        }
    }
    confirm_loads();
    return incomplete.empty();
}

void HostStates::save(const sched::Save& save) {
    Result<llama::KvState> copy = state_.model->save(save.slot, save.first, save.n_tokens);
    if (!copy) {
        spdlog::warn("{}", copy.error().message);
        state_.scheduler.save_failed(save.block);
        states_.emplace(save.block, HostState{});
        return;
    }
    state_.scheduler.saved(save.block, copy->size);
    states_.emplace(save.block,
                    HostState{std::make_shared<const llama::KvState>(std::move(*copy)), {}, {}, 0, save.n_tokens});
}

bool HostStates::load(const sched::Load& load) {
    const HostState& host = states_.at(load.block);
    const int begin = load.first - load.first % kBlockTokens;
    const auto began = Clock::now();
    if (host.state == nullptr || !state_.model->load(load.slot, begin, load.first, load.n_tokens, *host.state)) {
        spdlog::warn("a kept prefix could not be put back; it is computed again");
        if (host.name) keeper_->reject(*host.name);
        return false;
    }
    state_.scheduler.restored(load.n_tokens, std::chrono::duration_cast<sched::Time>(Clock::now() - began));
    if (host.name) state_.counters.artifact_restored_tokens += static_cast<std::uint64_t>(load.n_tokens);
    return true;
}

/// False when the deepest of the blocks just loaded into a slot came from the disk and is not what it claims.
bool HostStates::confirm(std::span<const sched::Load> loads) {
    // What the model says after the deepest block depends on all of them.
    for (auto load = loads.rbegin(); load != loads.rend(); ++load) {
        const HostState& host = states_.at(load->block);
        if (!host.canary) continue;
        // After the whole block, also where the request goes on from a part of it.
        const int begin = load->first - load->first % kBlockTokens;
        const float* logits = state_.model->logits_after(load->slot, begin, host.n_tokens, *host.state, host.last);
        if (logits == nullptr) return true;  // aborted: another time
        const auto verdict = artifact::compare(
            *host.canary, std::span(logits, static_cast<std::size_t>(state_.model->properties().vocabulary)));
        if (!verdict.matches) {
            spdlog::warn("artifacts are not what they should be ({}); they are dropped and computed again",
                         verdict.reason);
            for (const sched::Load& each : loads) {
                if (const auto& name = states_.at(each.block).name) keeper_->reject(*name);
            }
            return false;
        }
        for (const sched::Load& each : loads) states_.at(each.block).canary.reset();
        return true;
    }
    return true;
}

int HostStates::import(std::uint64_t salt, std::span<const Token> before, std::vector<ArtifactKeeper::Fetched> blocks) {
    if (blocks.empty()) return 0;
    const auto begin = before.begin();
    std::vector<Token> sequence(begin, begin + blocks.front().info.first);
    int taken = 0;
    for (ArtifactKeeper::Fetched& block : blocks) {
        sequence.insert(sequence.end(), block.info.tokens.begin(), block.info.tokens.end());
        const sched::BlockId id = state_.scheduler.import(salt, sequence, block.state.size);
        if (id == sched::kNoBlock) continue;
        states_.emplace(id, HostState{std::make_shared<const llama::KvState>(std::move(block.state)), block.info.hash,
                                      std::move(block.info.canary), block.info.tokens.back(),
                                      static_cast<int>(block.info.tokens.size())});
        ++taken;
    }
    return taken;
}

const HostState* HostStates::find(sched::BlockId block) const {
    const auto found = states_.find(block);
    return found == states_.end() ? nullptr : &found->second;
}

}  // namespace sutazai::engine
