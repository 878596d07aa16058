#pragma once

#include <atomic>
#include <chrono>

#include "base/artifact_action.h"
#include "base/error.h"
#include "engine/artifact_traffic.h"
#include "engine/host_states.h"
#include "engine/mailbox.h"

namespace sutazai::engine {

/// What somebody orders to be done with the artifacts. Runs on the thread that orders, which waits; what only the
/// decode thread may do is a task for it.
class ArtifactOrders {
  public:
    /// `keeper` may be null. The state is touched in tasks only.
    ArtifactOrders(EngineState& state, HostStates& states, ArtifactTraffic& traffic, ArtifactKeeper* keeper,
                   Mailbox& mailbox);

    /// One call at a time. The error says why it could not. Waits up to `patience` for the folder.
    [[nodiscard]] Result<ArtifactReport> carry_out(ArtifactAction action, std::chrono::milliseconds patience);
    /// Is one being carried out? Any thread.
    [[nodiscard]] bool at_work() const { return at_work_; }

  private:
    [[nodiscard]] Result<ArtifactReport> save();
    [[nodiscard]] Result<ArtifactReport> restore();

    EngineState& state_;
    HostStates& states_;
    ArtifactTraffic& traffic_;
    ArtifactKeeper* keeper_;
    Mailbox& mailbox_;
    std::atomic<bool> at_work_{false};
};

}  // namespace sutazai::engine
