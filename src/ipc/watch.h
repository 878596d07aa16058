#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// Tells an engine that hangs from one that works hard. Somebody looks at it at regular times, and each time that it is
/// asked to, sends a Ping; an engine hangs when it leaves one unanswered for kLooks looks, or is seen by as many at the
/// same point of the same work. Looks are counted, not time: who looks may have stood still himself (a stopped
/// container, a suspended machine), and that must not fall back on the engine. Pure; one thread.
class Watch {
  public:
    static constexpr int kLooks = 8;

    /// The answer to the last ping.
    void answered(const wire::Pong& pong);

    /// What the engine hangs at, as the rest of a sentence: "answered nothing". Nothing while it gets on.
    [[nodiscard]] std::optional<std::string> look();
    /// Is a ping to be sent after this look? It then counts as sent.
    [[nodiscard]] bool takes_ping();

    /// The last ping is answered, by an engine that was at nothing.
    [[nodiscard]] bool at_rest() const { return has_answered_ && !waits_ && works_.empty(); }

  private:
    struct Seen {
        std::uint64_t progress = 0;
        int n_same = 0;  ///< answers in a row that have told the same
    };
    bool waits_ = false;  ///< for an answer
    bool has_answered_ = false;
    int n_unanswered_ = 0;  ///< looks since the ping
    std::map<std::string, Seen> works_;
};

}  // namespace sutazai::ipc
