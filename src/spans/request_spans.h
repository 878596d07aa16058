#pragma once

#include <string_view>
#include <vector>

#include "proto/spans.pb.h"
#include "serve/request_record.h"

/// Requests as OpenTelemetry sees them.
namespace sutazai::spans {

/// The span of a request that has ended, with the names of OpenTelemetry's conventions for generative AI, and one below
/// it for each part of its time: "model", "queue", "prompt", "generate". None when whoever asked said that the trace is
/// not sampled. Of what was asked and answered nothing is in them. Draws ids at random.
[[nodiscard]] std::vector<otlp::Span> spans_of(const serve::RequestRecord& record);

/// A message for a collector. Takes the spans.
[[nodiscard]] otlp::ExportTraceServiceRequest export_request(std::vector<otlp::Span> spans, std::string_view version);

}  // namespace sutazai::spans
