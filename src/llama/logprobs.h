#pragma once

#include "llama/logit_row.h"

/// Log-probabilities of the model's own distribution, before any sampling setting.
namespace sutazai::llama {

/// log(sum(exp(logits))), which taken off a logit gives its log-probability. Exact to about 1e-6; entries of minus
/// infinity count as impossible. The row has been read.
[[nodiscard]] float log_sum_exp(const LogitRow& row);

}  // namespace sutazai::llama
