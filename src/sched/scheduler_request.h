#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "sched/scheduler.h"

/// Of the scheduler's own sources only.
namespace sutazai::sched {

/// A prefix that somebody else computes is worth waiting for, or worth a checkpoint, when it saves at least this many
/// tokens.
inline constexpr int kLeastFollowTokens = 32;

struct Scheduler::Request {
    RequestId id = 0;
    int priority = 0;
    std::uint64_t salt = 0;
    Time arrival{0};
    std::shared_ptr<const std::vector<Token>> prompt;  ///< until it is admitted: shared with its forks
    std::vector<Token> tokens;                         ///< from then on: prompt, then what was generated
    int n_prompt = 0;
    int n_max = 0;  ///< length at which it ends
    int n_cached = 0;
    SlotId slot = kNoSlot;
    std::optional<Time> begun;
    std::vector<int> stops;  ///< where its prefill leaves a checkpoint, ascending

    std::shared_ptr<Forks> forks;  ///< of the same prompt; null: there were none

    [[nodiscard]] const std::vector<Token>& chain() const { return prompt != nullptr ? *prompt : tokens; }
    [[nodiscard]] int length() const { return static_cast<int>(chain().size()); }
};

/// The requests of one prompt that are not in the queue yet. One comes in when another of them ends, so that a request
/// for many answers stands in the queue as one for a few does.
struct Scheduler::Forks {
    std::shared_ptr<const std::vector<Token>> prompt;
    int priority = 0;
    std::uint64_t salt = 0;
    int n_max = 0;
    std::deque<RequestId> left;
};

}  // namespace sutazai::sched
