#include "models/model_status.h"

#include <algorithm>

namespace sutazai::models {
namespace {

double percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

const char* to_string(ModelState state) {
    switch (state) {
        case ModelState::kCold: return "cold";
        case ModelState::kLoading: return "loading";
        case ModelState::kWarming: return "warming";
        case ModelState::kWarm: return "warm";
        case ModelState::kDraining: return "draining";
        case ModelState::kFailed: return "failed";
        case ModelState::kRemote: return "remote";
        case ModelState::kUnreachable: return "unreachable";
    }
    return "cold";
}

CacheSummary summarize(std::span<const ModelStatus> models) {
    CacheSummary out;
    std::uint64_t requests = 0, found_warm = 0, prompt = 0, cached = 0, bytes = 0;
    for (const ModelStatus& model : models) {
        ++out.total_models;
        if (model.remote) continue;  // what it keeps, and where, is not known
        if (!model.alias_of.empty()) continue;
        requests += model.requests;
        found_warm += model.found_warm;
        prompt += model.stats.prompt_tokens;
        cached += model.stats.cached_tokens;
        if (model.state != ModelState::kWarm) continue;
        ++out.warmed_models;
        const std::uint64_t taken = model.measured_bytes > 0 ? model.measured_bytes : model.expected_bytes;
        bytes += taken - std::min(taken, model.paid_by_others);
    }
    out.hit_rate_percent = percent(found_warm, requests);
    out.prefix_hit_rate_percent = percent(cached, prompt);
    out.total_size_mb = static_cast<double>(bytes) / static_cast<double>(1 << 20);
    return out;
}

}  // namespace sutazai::models
