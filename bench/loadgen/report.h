#pragma once

#include <boost/json.hpp>

#include "client.h"

namespace sutazai::loadgen {

/// {wall_s, requests, failed, completion_tokens, tokens_per_s, ttft_ms, itl_ms, e2e_ms: {p50, p95, p99, max, mean},
/// ..., "each": one object a request with its times in ms since the run began}. Percentiles are nearest-rank; they and
/// the totals leave failed requests out.
boost::json::object report(const std::vector<Request>& requests, const Run& run);

}  // namespace sutazai::loadgen
