#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/engine_state.h"

namespace sutazai::engine {

/// A state outside the KV memory.
struct HostState {
    std::shared_ptr<const llama::KvState> state;  ///< null when the copy failed
    std::optional<artifact::ChainHash> name;      ///< of the artifact that it came from
    std::optional<artifact::Canary> canary;       ///< still to be compared; none: there is none, or it was right
    Token last = 0;                               ///< the block's last token
    int n_tokens = 0;
};

/// The states that the scheduler knows by their block ids, and the operations that move them between host memory and
/// the KV memory. What came from the disk is confirmed by its canary at its first use. Decode thread.
class HostStates {
  public:
    /// `keeper`, which is told of artifacts that prove wrong, may be null: then there are none.
    HostStates(EngineState& state, ArtifactKeeper* keeper) : state_(state), keeper_(keeper) {}

    /// Carries out a step's operations. False when the step must not be computed but rolled back.
    [[nodiscard]] bool apply(std::span<const sched::KvOp> ops);
    /// Takes blocks of one token sequence in; `before` begins with the tokens in front of the first of them. Returns
    /// how many the scheduler wanted.
    int import(std::uint64_t salt, std::span<const Token> before, std::vector<ArtifactKeeper::Fetched> blocks);
    /// Null when there is none: operations that still wait may be going to copy it.
    [[nodiscard]] const HostState* find(sched::BlockId block) const;

  private:
    void save(const sched::Save& save);
    [[nodiscard]] bool load(const sched::Load& load);
    [[nodiscard]] bool confirm(std::span<const sched::Load> loads);

    EngineState& state_;
    ArtifactKeeper* keeper_;
    std::unordered_map<sched::BlockId, HostState> states_;
};

}  // namespace sutazai::engine
