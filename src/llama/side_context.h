#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "llama/model.h"

namespace sutazai::llama {

/// What is computed beside the streams: vectors of texts, and the scores of prompts' tokens. It has a llama_context of
/// its own, made at the first job, as small as the jobs allow, and given back when it had to be large. Jobs share
/// batches: each turn packs tokens of many of them into one llama_decode. Decode thread only.
class SideContext {
  public:
    enum class Kind : std::uint8_t { kEmbeddings, kScores };

    struct Job {
        RequestId id = 0;
        std::vector<Token> tokens;  ///< not empty
        int n_top = 0;              ///< kScores: alternatives to name
        std::chrono::steady_clock::time_point submitted;

        // What came of it, once it is done.
        std::vector<float> embedding;    ///< kEmbeddings: of length 1
        std::vector<TokenScore> scores;  ///< kScores: one for each token
        std::optional<Error> error;

        int priority = 0;  ///< lower begins first
    };

    /// `model` outlives this.
    SideContext(const Model& model, Kind kind);
    ~SideContext();
    SideContext(const SideContext&) = delete;
    SideContext& operator=(const SideContext&) = delete;

    void add(Job job);
    /// False when there is no such job.
    bool cancel(RequestId id);
    /// Takes out the jobs that were submitted before `bound` and have not begun.
    [[nodiscard]] std::vector<RequestId> expire(std::chrono::steady_clock::time_point bound);
    [[nodiscard]] bool idle() const { return jobs_.empty(); }
    /// Whether the present context has made vectors without computing logits that nobody asked for.
    [[nodiscard]] bool skips_output_layer() const;
    [[nodiscard]] int open() const { return static_cast<int>(jobs_.size()); }

    /// Computes some tokens, about as many as take `target`, and hands back the jobs that this ended. A model that
    /// reads its whole input at once takes as long as one input takes.
    [[nodiscard]] std::vector<Job> turn(std::chrono::microseconds target);

  private:
    struct Running;
    struct Context;

    [[nodiscard]] int most_tokens() const;  ///< of one turn
    [[nodiscard]] int tokens_of_turn(std::chrono::microseconds target) const;
    [[nodiscard]] int usual_context() const;
    bool make_context(std::size_t longest);
    void find_where_to_stop();
    void plan(int budget);
    void take_rows(Running& job, int first_row);
    void finish_embedding(Running& job) const;

    const Model& model_;
    Kind kind_;
    std::unique_ptr<Context> context_;
    std::deque<std::unique_ptr<Running>> jobs_;  ///< those with a sequence first, then by priority and arrival
    double us_per_token_ = 1000;                 ///< smoothed; the first guess is careful
};

}  // namespace sutazai::llama
