#pragma once

#include <boost/json/object.hpp>

#include "base/generation.h"

namespace sutazai::upstream {

/// The fields of MoreSampling that are not as they are by default, under the names that llama-server, Ollama (for a few
/// of them) and SutazAI have for them. Pure.
[[nodiscard]] boost::json::object more_sampling_json(const SamplingParams& sampling);

/// OpenAI's logit_bias.
[[nodiscard]] boost::json::object logit_bias_json(const SamplingParams& sampling);

}  // namespace sutazai::upstream
