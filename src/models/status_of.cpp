#include "models/status_of.h"

#include <fmt/format.h>

#include <algorithm>

namespace sutazai::models {
namespace {

using std::chrono::system_clock;

system_clock::time_point to_system(WarmModel::Clock::time_point when) {
    return system_clock::now() + std::chrono::duration_cast<system_clock::duration>(when - WarmModel::Clock::now());
}

/// The catalogue hears of a change before the next request does.
std::string file_note(const WarmModel& model, const catalog::ModelFile* listed) {
    if (!model.file.note.empty() || model.slot->stamps.empty()) return model.file.note;
    if (listed == nullptr) return kFileGone;
    // What the catalogue knows may also be older.
    const auto latest = [](const FileStamps& stamps) {
        return std::ranges::max(stamps, {}, &FileStamp::changed_ns).changed_ns;
    };
    return latest(listed->stamps) > latest(model.slot->stamps) ? kChangedOnDisk : "";
}

}  // namespace

ModelStatus status_of(const WarmModel& model, const catalog::ModelFile* listed) {
    ModelStatus out;
    out.name = model.name;
    out.state = model.state();
    out.load_progress = model.load.running ? model.load.progress.fraction : 0;
    if (model.failures.last) out.last_error = model.failures.last->message;
    out.crashes = model.failures.crashes;
    out.last_crash = model.failures.last_crash;
    out.moves = model.moves;
    out.requests = model.use.requests;
    out.found_warm = model.use.found_warm;
    out.waiting = model.n_waiting();
    out.estimate = model.memory.estimate();
    out.expected_bytes = out.estimate.total() == 0 ? 0 : model.memory.expected_bytes();
    out.load_time = std::chrono::duration_cast<std::chrono::milliseconds>(model.load.took);
    out.pinned = model.is_pinned();
    out.last_used = model.use.last;
    out.stats = model.past;
    if (const EngineSlot* slot = model.slot.get()) {
        out.in_use = slot->n_leases;
        out.pid = slot->engine->pid();
        out.info = slot->engine->info();
        out.stats = slot->engine->stats();
        out.stats.add_counters(model.past);
        out.measured_bytes = slot->measured_bytes;
        out.paid_by_others = slot->paid_by_others;
        if (const auto n = slot->engine->stats().broken_results; n > 0 && out.last_error.empty()) {
            out.last_error = fmt::format(
                "{} of its results were no numbers (NaN or infinite): the file is damaged, or quantised to fewer bits "
                "than it bears",
                n);
        }
        out.file_note = file_note(model, listed);
        if (slot->n_leases == 0 && slot->unload_at && !model.is_pinned()) out.unload_at = to_system(*slot->unload_at);
    }
    for (const auto& slot : model.ending) {
        const EngineStats& stats = slot->engine->stats();
        out.in_use += slot->n_leases;
        out.stats.running += stats.running;
        out.stats.waiting += stats.waiting;
        out.stats.add_counters(stats);
    }
    return out;
}

ModelStatus status_of_remote(const catalog::ModelFile& listed, upstream::Upstreams& upstreams) {
    ModelStatus out;
    out.name = listed.name;
    out.state = ModelState::kRemote;
    const auto found = upstreams.find(*listed.remote);
    if (!found) {
        out.state = ModelState::kUnreachable;
        out.last_error = found.error().message;
        out.remote = RemoteStatus{listed.remote->upstream, "", listed.remote->model};
        return out;
    }
    const upstream::RemoteModel& model = **found;
    const upstream::Upstream& server = model.upstream();
    out.remote = RemoteStatus{server.identity().name, to_string(server.identity().address.kind), model.name()};
    out.last_error = model.last_error;
    if (server.health() == upstream::Health::kUnreachable) {
        out.state = ModelState::kUnreachable;
        out.last_error = server.problem();
    }
    out.requests = model.requests;
    out.in_use = model.in_use;
    out.waiting = model.stats.waiting;
    out.last_used = model.last_used;
    out.stats = model.stats;
    return out;
}

}  // namespace sutazai::models
