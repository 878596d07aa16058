#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "sched/types.h"

namespace sutazai::llama {

/// What is computed beside the streams: vectors of texts, and the scores of prompts' tokens. That of llama.cpp has a
/// llama_context of its own, made at the first job, as small as the jobs allow, and given back when it had to be large.
/// Jobs share batches: each turn packs tokens of many of them into one llama_decode. Decode thread only.
class SideContext {
  public:
    enum class Kind : std::uint8_t { kEmbeddings, kScores };

    struct Job {
        RequestId id = 0;
        std::vector<sched::Token> tokens;  ///< not empty
        int n_top = 0;                     ///< kScores: alternatives to name
        std::chrono::steady_clock::time_point submitted;

        // What came of it, once it is done.
        std::vector<float> embedding;    ///< kEmbeddings: of length 1; of a model that ranks (Pooling::kRank) the score
        std::vector<TokenScore> scores;  ///< kScores: one for each token
        std::optional<Error> error;
        bool no_numbers = false;  ///< the model computed NaN or infinities for it: there is no result

        int priority = 0;  ///< lower begins first
    };

    virtual ~SideContext() = default;
    SideContext(const SideContext&) = delete;
    SideContext& operator=(const SideContext&) = delete;

    virtual void add(Job job) = 0;
    /// False when there is no such job.
    virtual bool cancel(RequestId id) = 0;
    /// Takes out the jobs that were submitted before `bound` and have not begun.
    [[nodiscard]] virtual std::vector<RequestId> expire(std::chrono::steady_clock::time_point bound) = 0;
    [[nodiscard]] virtual int open() const = 0;
    [[nodiscard]] bool idle() const { return open() == 0; }
    /// Whether the present context has made vectors without computing logits that nobody asked for.
    [[nodiscard]] virtual bool skips_output_layer() const { return false; }

    /// Computes some tokens, about as many as take `target`, and hands back the jobs that this ended. A model that
    /// reads its whole input at once takes as long as one input takes.
    [[nodiscard]] virtual std::vector<Job> turn(std::chrono::microseconds target) = 0;
    /// Called often during a turn, on any thread. Set it before the first job.
    void on_progress(std::function<void()> listener) { on_progress_ = std::move(listener); }

  protected:
    SideContext() = default;

    std::function<void()> on_progress_;
};

}  // namespace sutazai::llama
