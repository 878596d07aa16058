#include "status/cache_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "api/answer_parts.h"
#include "base/json_text.h"
#include "status/status_json.h"

namespace sutazai::status {

namespace {

using models::ModelStatus;
using serve::CacheOutcome;

template <typename... Args>
void append(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string quoted(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

std::string time_or_null(const std::optional<std::chrono::system_clock::time_point>& when) {
    return when ? "\"" + api::timestamp(*when) + "\"" : "null";
}

void append_model(std::string& out, const ModelStatus& model) {
    append(out, R"({{"name": {}, "state": "{}", "load_progress": {:.2f}, "pid": {}, )", quoted(model.name),
           models::to_string(model.state), model.load_progress, model.pid);
    append(out, R"("bytes_estimated": {}, "bytes_expected": {}, "bytes_measured": {}, )", model.estimate.total(),
           model.expected_bytes, model.measured_bytes);
    append(out, R"("estimate": {{"weights": {}, "kv": {}, "compute": {}, "process": {}}}, )", model.estimate.weights,
           model.estimate.kv, model.estimate.compute, model.estimate.process);
    append(out, R"("requests": {}, "found_warm": {}, "in_use": {}, "waiting": {}, "load_ms": {}, )", model.requests,
           model.found_warm, model.in_use, model.waiting, model.load_time.count());
    append(out, R"("last_used": {}, "pinned": {}, "unload_at": {}, )", time_or_null(model.last_used), model.pinned,
           time_or_null(model.unload_at));
    append(out, R"("prefixes": {}, "prompt_tokens": {}, "cached_tokens": {}, )", model.stats.prefixes,
           model.stats.prompt_tokens, model.stats.cached_tokens);
    append(out, R"("crashes": {}, "last_crash": {}, )", model.crashes,
           model.last_crash.empty() ? "null" : quoted(model.last_crash));
    append(out,
           R"("artifacts": {{"count": {}, "bytes": {}, "restored_tokens": {}}}, "file_note": {}, "last_error": {}}})",
           model.artifacts.count, model.artifacts.bytes, model.artifacts.restored_tokens,
           model.file_note.empty() ? "null" : quoted(model.file_note),
           model.last_error.empty() ? "null" : quoted(model.last_error));
}

void append_outcome(std::string& out, const CacheOutcome& outcome) {
    append(out, R"({{"model": {}, "success": {}, "message": {}, "state": "{}")", quoted(outcome.model), outcome.success,
           quoted(outcome.message), models::to_string(outcome.state));
    if (outcome.artifacts) {
        append(out, R"(, "saved": {}, "loaded": {}, "removed": {}, "bytes": {})", outcome.artifacts->saved,
               outcome.artifacts->restored, outcome.artifacts->removed, outcome.artifacts->bytes);
    }
    out += '}';
}

template <typename T, typename Append>
void append_list(std::string& out, std::span<const T> list, Append append_one) {
    out += '[';
    for (const T& entry : list) {
        if (&entry != list.data()) out += ", ";
        append_one(out, entry);
    }
    out += ']';
}

}  // namespace

std::string cache_status_json(std::span<const ModelStatus> models, const models::placement::Room& room,
                              std::span<const models::StandbyStatus> standby) {
    std::string out;
    append(out, R"({{"action": "status", {}, "max_models": {}, "max_cache_size_mb": {}, "standby_engines": )",
           cache_figures(models::summarize(models)), room.places,
           room.bytes == std::numeric_limits<std::uint64_t>::max()
               ? "null"
               : fmt::format("{:.1f}", static_cast<double>(room.bytes) / static_cast<double>(1 << 20)));
    append_list(out, standby, [](std::string& to, const models::StandbyStatus& engine) {
        append(to, R"({{"pid": {}, "bytes": {}}})", engine.pid, engine.bytes);
    });
    out += R"(, "models": )";
    append_list(out, models, append_model);
    out += '}';
    return out;
}

std::string cache_outcomes_json(api::CacheAction action, std::span<const serve::CacheOutcome> outcomes) {
    std::string out;
    append(out, R"({{"action": "{}", "success": {}, "results": )", api::to_string(action),
           std::ranges::all_of(outcomes, &CacheOutcome::success));
    append_list(out, outcomes, append_outcome);
    out += '}';
    return out;
}

}  // namespace sutazai::status
