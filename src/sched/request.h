#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "sched/checkpoint_plan.h"
#include "sched/types.h"

namespace sutazai::sched {

/// The requests of one prompt that are not in the queue yet. One comes in when another of them ends, so that a request
/// for many answers stands in the queue as one for a few does.
struct ForkGroup {
    std::shared_ptr<const std::vector<Token>> prompt;
    std::shared_ptr<const std::vector<Apart>> apart;  ///< of the prompt
    int priority = 0;
    std::uint64_t salt = 0;
    int n_max = 0;
    std::deque<RequestId> left;
};

/// One request between submit() and its end: it waits, or it runs in a slot.
struct Request {
    RequestId id = 0;
    int priority = 0;
    std::uint64_t salt = 0;
    Time arrival{0};
    std::shared_ptr<const std::vector<Token>> prompt;  ///< until it is admitted: shared with its forks
    std::vector<Token> own;                            ///< from then on: prompt, then what was generated
    std::shared_ptr<const std::vector<Apart>> apart;   ///< of the prompt, by position
    int n_prompt = 0;
    int n_max = 0;     ///< length at which it ends
    int n_cached = 0;  ///< of the prompt, reused at its first admission
    int n_shared = 0;  ///< of these, what a running request had computed
    int n_copied = 0;  ///< and what was copied back from host memory
    SlotId slot = kNoSlot;
    std::optional<Time> begun;  ///< when it was first admitted
    CheckpointPlan checkpoints;
    std::shared_ptr<ForkGroup> forks;  ///< of the same prompt

    /// The whole token sequence, as far as it is known.
    [[nodiscard]] const std::vector<Token>& tokens() const { return prompt != nullptr ? *prompt : own; }
    [[nodiscard]] int length() const { return static_cast<int>(tokens().size()); }
    /// The prompt becomes its own, to be continued. Nothing when it is already.
    void own_tokens() {
        if (prompt == nullptr) return;
        own = *prompt;
        prompt.reset();
    }
};

}  // namespace sutazai::sched
