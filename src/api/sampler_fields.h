#pragma once

#include "api/json.h"
#include "base/generation.h"

/// The fields of a draw that llama-server has beyond the usual ones, and OpenAI's logit_bias. Pure.
namespace sutazai::api {

/// repeat_last_n, top_n_sigma, typical_p, xtc_*, dynatemp_*, dry_*, mirostat*, min_keep and samplers into `out.more`,
/// which stays empty where all have their defaults. For repeat_last_n and dry_penalty_last_n -1 means all.
void read_more_sampling(FieldReader& fields, SamplingParams& out);

/// OpenAI's {"1234": -100}, or llama-server's [[1234, -1.5], [7, false]]; false rules a token out.
void read_logit_bias(FieldReader& fields, SamplingParams& out);

}  // namespace sutazai::api
