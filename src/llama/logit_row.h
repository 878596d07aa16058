#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sched/types.h"

namespace sutazai::llama {

struct Candidate {
    float logit;
    sched::Token token;
};

/// A row of logits, [vocabulary], read as a whole once (kernels/logit_scan.h): what is asked of it after that costs a
/// look at a few of its blocks. Made once for many rows, for its memory. One thread at a time.
class LogitRow {
  public:
    /// Looks at `logits`, which must stay as they are while this is asked about them. False when they are no numbers:
    /// one is NaN or plus infinity, or all are minus infinity. Then nothing may be asked.
    [[nodiscard]] bool read(std::span<const float> logits);

    [[nodiscard]] std::span<const float> logits() const { return logits_; }
    [[nodiscard]] float largest() const { return largest_; }
    [[nodiscard]] sched::Token most_likely() const;  ///< the first of equals

    /// The `n` largest (all, if there are fewer), best first and equals by token, into `out`, whose memory is reused.
    /// Tokens that are ruled out (minus infinity) are not among them.
    void select_top(std::size_t n, std::vector<Candidate>& out);
    /// The same of all with a logit of at least `least`, which is finite.
    void select_at_least(float least, std::vector<Candidate>& out) const;

  private:
    void collect(float least, std::vector<Candidate>& out) const;

    std::span<const float> logits_;
    std::vector<float> largest_of_block_;
    std::vector<float> scratch_;
    float largest_ = 0;
};

}  // namespace sutazai::llama
