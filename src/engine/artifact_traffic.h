#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "artifact/hot_chains.h"
#include "engine/engine_state.h"
#include "engine/host_states.h"
#include "engine/mailbox.h"
#include "sched/linear_cost.h"

namespace sutazai::engine {

/// Artifacts beside the requests: what a prompt needs is fetched before the prompt is scheduled, what is reused is
/// written while there is time. Decode thread.
class ArtifactTraffic {
  public:
    /// `keeper` may be null: then there are no artifacts, and nothing here does anything.
    ArtifactTraffic(EngineState& state, HostStates& states, ArtifactKeeper* keeper, Mailbox& mailbox);

    /// True when the request waits for artifacts that are worth the read; it has been taken then.
    [[nodiscard]] bool fetch_first(Prepared& prepared);
    /// The request that waited for them; none when it was cancelled meanwhile.
    [[nodiscard]] std::optional<Prepared> take(FetchedBlocks fetched);
    void cancel(RequestId answer) { waiting_.cancel(answer); }
    void expire(const QueueTimeout& timeout, StepReport& report);
    [[nodiscard]] bool fetches() const { return !waiting_.empty(); }
    [[nodiscard]] int waiting() const { return waiting_.answers(); }

    /// The tenant's name goes into the names of artifacts; the scheduler knows only its hash.
    void note_salt(const Prepared& prepared);
    /// A prefix that somebody has used again is worth an artifact. The request is still in the scheduler.
    void note_reuse(RequestId request, const std::string& salt, int cached_tokens);
    /// Is there a prefix to be written?
    [[nodiscard]] bool has_hot() const { return !hot_.empty(); }
    /// Writes one block of the most valuable one, with a canary when nobody has to wait for it.
    void keep_one_hot_block();

    /// A block of a kept prefix that is not on the disk yet.
    struct Unwritten {
        std::string salt;
        std::vector<Token> tokens;  ///< from the first of the sequence to the block's last
        std::optional<artifact::Canary> canary;
        std::shared_ptr<const llama::KvState> state;
    };
    struct Kept {
        std::vector<Unwritten> blocks;
        std::uint64_t n_uncopied = 0;  ///< for which there was no memory
    };
    /// All of them, after copying to host memory what the KV memory holds. Takes as long as some tokens.
    [[nodiscard]] Kept collect_unwritten();
    /// Of a whole block, as measured.
    [[nodiscard]] std::uint64_t compute_us_per_block() const;

  private:
    [[nodiscard]] artifact::TokenCost token_cost() const;
    [[nodiscard]] std::shared_ptr<const llama::KvState> state_of(std::uint64_t salt, std::span<const Token> tokens,
                                                                 sched::SlotId slot);
    [[nodiscard]] std::optional<artifact::Canary> canary_of(sched::SlotId slot, std::span<const Token> tokens);

    static constexpr std::size_t kMostHotChains = 64;  ///< reused prefixes that wait to become artifacts

    EngineState& state_;
    HostStates& states_;
    ArtifactKeeper* keeper_;
    Mailbox& mailbox_;
    HeldRequests waiting_;
    sched::LinearCost fetch_cost_;
    std::unordered_map<std::uint64_t, std::string> salts_;  ///< by their hash
    artifact::HotChains hot_{kMostHotChains};
    int steps_since_hot_ = 0;
};

}  // namespace sutazai::engine
