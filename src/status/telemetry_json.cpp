#include "status/telemetry_json.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <iterator>
#include <limits>

#include "api/answer_parts.h"
#include "base/json_text.h"
#include "status/cache_json.h"

namespace sutazai::status {

namespace json = boost::json;

namespace {

using models::ModelState;
using models::ModelStatus;

bool is_told(const ModelStatus& model) {
    return model.state != ModelState::kCold || model.requests > 0 || model.pinned || !model.last_error.empty();
}

std::string model_text(const ModelStatus& model) {
    json::object out = model_json(model);
    const EngineStats& stats = model.stats;
    out["engine"] = {{"running", stats.running},
                     {"waiting", stats.waiting},
                     {"batch_width", stats.batch_width},
                     {"kv_cells", stats.kv_cells},
                     {"kv_cells_used", stats.kv_cells_used},
                     {"host_bytes", stats.host_bytes},
                     {"generation_tokens", stats.generation_tokens},
                     {"host_restored_tokens", stats.host_restored_tokens},
                     {"preemptions", stats.preemptions},
                     {"steps", stats.steps},
                     {"step_us", stats.step_us}};
    return to_json(out);
}

std::string machine_text(const models::placement::Room& room, std::span<const models::StandbyStatus> standby) {
    constexpr auto kNoLimit = std::numeric_limits<std::uint64_t>::max();
    json::array engines;
    for (const models::StandbyStatus& engine : standby) engines.push_back(engine.bytes);
    return to_json(json::object{{"places", room.places},
                                {"bytes", room.bytes == kNoLimit ? json::value() : json::value(room.bytes)},
                                {"standby_engines", std::move(engines)}});
}

std::string head(std::string_view type, std::uint64_t sequence, const TelemetryLook& look) {
    return fmt::format(R"({{"type":"{}","seq":{},"at":{})", type, sequence, look.at_unix_ms);
}

}  // namespace

TelemetryLook telemetry_look(std::chrono::system_clock::time_point now, std::span<const ModelStatus> models,
                             const models::placement::Room& room, std::span<const models::StandbyStatus> standby) {
    TelemetryLook look;
    look.at_unix_ms = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count();
    look.machine = machine_text(room, standby);
    for (const ModelStatus& model : models) {
        if (is_told(model)) look.models.emplace(model.name, model_text(model));
    }
    return look;
}

std::string telemetry_snapshot(std::uint64_t sequence, const TelemetryLook& look) {
    std::string out = head("snapshot", sequence, look);
    fmt::format_to(std::back_inserter(out), R"(,"machine":{},"models":[)", look.machine);
    std::string_view comma;
    for (const auto& [name, text] : look.models) {
        out.append(comma).append(text);
        comma = ",";
    }
    return out + "]}\n";
}

std::string telemetry_delta(std::uint64_t sequence, const TelemetryLook& before, const TelemetryLook& look) {
    std::string out = head("delta", sequence, look);
    if (look.machine != before.machine) fmt::format_to(std::back_inserter(out), R"(,"machine":{})", look.machine);
    out += R"(,"models":[)";
    std::string_view comma;
    for (const auto& [name, text] : look.models) {
        const auto known = before.models.find(name);
        if (known != before.models.end() && known->second == text) continue;
        out.append(comma).append(text);
        comma = ",";
    }
    json::array gone;
    for (const auto& [name, text] : before.models) {
        if (!look.models.contains(name)) gone.push_back(json::string(name));
    }
    out += "]";
    if (!gone.empty()) fmt::format_to(std::back_inserter(out), R"(,"gone":{})", to_json(gone));
    return out + "}\n";
}

}  // namespace sutazai::status
