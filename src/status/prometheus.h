#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "batches/figures.h"
#include "models/model_status.h"
#include "serve/request_metrics.h"

namespace sutazai::status {

/// What there is to tell of, all of it known to the server already.
struct Scraped {
    std::span<const models::ModelStatus> models;
    const serve::RequestMetrics& requests;
    std::string_view version = {};
    double uptime_s = 0;
    const batches::Figures* batches = nullptr;  ///< null: nothing of them
    struct Spans {
        std::uint64_t sent = 0;
        std::uint64_t dropped = 0;
    };
    std::optional<Spans> spans = {};  ///< requests whose spans were sent; unset: none are
    bool vllm_names = false;          ///< with the names that routers and dashboards of vLLM know, beside ours
};

/// In Prometheus' text format, version 0.0.4 (docs/monitoring.md lists the names). Models appear once they are warm or
/// have had a request. Pure.
[[nodiscard]] std::string prometheus_text(const Scraped& scraped);

}  // namespace sutazai::status
