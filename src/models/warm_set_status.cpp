// What can be seen of a WarmSet, and what it remembers over a restart.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>
#include <ranges>
#include <tuple>
#include <utility>

#include "models/warm_set.h"

namespace sutazai::models {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

system_clock::time_point to_system(WarmSet::Clock::time_point when) {
    return system_clock::now() + std::chrono::duration_cast<system_clock::duration>(when - WarmSet::Clock::now());
}

}  // namespace

ModelState WarmSet::state(const Model& model) const {
    if (model.loading) return model.progress.warming ? ModelState::kWarming : ModelState::kLoading;
    if (model.slot) return model.slot->leaving ? ModelState::kDraining : ModelState::kWarm;
    if (model.n_ending > 0) return ModelState::kDraining;
    return model.last_error ? ModelState::kFailed : ModelState::kCold;
}

/// The catalogue hears of a change before the next request does.
std::string WarmSet::file_note(const Model& model) const {
    if (!model.file_note.empty() || model.slot->stamps.empty()) return model.file_note;
    const auto file = catalog_.find(model.name);
    if (!file) return kFileGone;
    // What the catalogue knows may also be older.
    const auto latest = [](const FileStamps& stamps) {
        return std::ranges::max(stamps, {}, &FileStamp::changed_ns).changed_ns;
    };
    return latest(file->stamps) > latest(model.slot->stamps) ? kChangedOnDisk : "";
}

ModelStatus WarmSet::status(const Model& model) const {
    ModelStatus out;
    out.name = model.name;
    out.state = state(model);
    out.load_progress = model.loading ? model.progress.fraction : 0;
    if (model.last_error) out.last_error = model.last_error->message;
    out.crashes = model.crashes;
    out.last_crash = model.last_crash;
    out.requests = model.requests;
    out.found_warm = model.found_warm;
    out.waiting = n_waiting(model);
    out.estimate = model.estimate;
    out.expected_bytes = model.estimate.total() == 0 ? 0 : expected_bytes(model);
    out.load_time = std::chrono::duration_cast<milliseconds>(model.load_time);
    out.pinned = model.pinned;
    out.last_used = model.last_used;
    out.stats = model.past;
    if (const Slot* slot = model.slot.get()) {
        out.in_use = slot->n_leases;
        out.pid = slot->engine->pid();
        out.info = slot->engine->info();
        out.stats = slot->engine->stats();
        out.stats.add_counters(model.past);
        out.measured_bytes = slot->measured_bytes;
        if (const auto n = slot->engine->stats().broken_results; n > 0 && out.last_error.empty()) {
            out.last_error = fmt::format(
                "{} of its results were no numbers (NaN or infinite): the file is damaged, or quantised to fewer bits "
                "than "
                "it bears",
                n);
        }
        out.file_note = file_note(model);
        if (slot->n_leases == 0 && slot->unload_at && !model.pinned) out.unload_at = to_system(*slot->unload_at);
    }
    return out;
}

std::vector<ModelStatus> WarmSet::status() const {
    std::vector<ModelStatus> out;
    out.reserve(catalog_.list().size());
    auto known = models_.begin();
    const auto add_known = [&](bool is_listed) {
        // A model whose file is gone matters for as long as it is in use.
        if (is_listed || state(*known->second) != ModelState::kCold) out.push_back(status(*known->second));
        ++known;
    };
    for (const catalog::ModelFile& file : catalog_.list()) {
        while (known != models_.end() && known->first < file.name) add_known(false);
        if (known != models_.end() && known->first == file.name) {
            add_known(true);
            continue;
        }
        ModelStatus& cold = out.emplace_back();
        cold.name = file.name;
        cold.file_note = file.problem;
        const auto remembered = usage_.find(file.name);
        cold.pinned = remembered != usage_.end() && remembered->second.pinned;
    }
    while (known != models_.end()) add_known(false);
    return out;
}

bool WarmSet::any_warm() const {
    return std::ranges::any_of(models_, [](const auto& entry) { return entry.second->slot != nullptr; });
}

std::size_t WarmSet::open_requests() const {
    std::size_t n = 0;
    for (const auto& [name, model] : models_) n += model->slot ? model->slot->engine->open_requests() : 0;
    for (const auto& slot : ending_) n += slot->engine->open_requests();
    return n;
}

std::vector<std::string> WarmSet::startup_models() const {
    std::vector<std::string> names = configured_;
    if (names.empty()) {
        std::vector<std::pair<std::string, Usage>> warm;
        for (const auto& [name, usage] : usage_) {
            if (usage.warm && catalog_.find(name)) warm.emplace_back(name, usage);
        }
        std::ranges::stable_sort(warm, [](const auto& a, const auto& b) {
            const auto rank = [](const Usage& usage) {
                return std::tuple(usage.pinned, usage.score, usage.last_used_s);
            };
            return rank(a.second) > rank(b.second);
        });
        for (auto& [name, usage] : warm) names.push_back(std::move(name));
    }
    if (names.empty() && !catalog_.default_model().empty()) names.push_back(catalog_.default_model());
    names.resize(std::min(names.size(), rules_.room.places));
    return names;
}

/// A model that is met for the first time begins with what is known of it from the last run.
void WarmSet::recall(Model& model) const {
    const auto found = usage_.find(model.name);
    if (found == usage_.end()) return;
    const Usage& usage = found->second;
    model.popularity.begin_with(usage.score, n_requests_);
    model.pinned = usage.pinned;
    if (usage.last_used_s > 0) model.last_used = system_clock::time_point(std::chrono::seconds(usage.last_used_s));
    if (usage.file_bytes != model.file_bytes) return;
    model.load_time = milliseconds(usage.load_ms);
    model.correction = usage.memory_correction;
}

void WarmSet::remember() {
    remembered_at_ = Clock::now();
    usage_writer_.write(usage_now());
}

UsageByName WarmSet::usage_now() const {
    UsageByName now = usage_;
    for (auto& [name, usage] : now) usage.warm = false;
    for (const auto& [name, model] : models_) {
        Usage usage;
        usage.warm = model->slot != nullptr;
        usage.pinned = model->pinned;
        usage.score = model->popularity.score(n_requests_);
        if (model->last_used) {
            usage.last_used_s =
                std::chrono::duration_cast<std::chrono::seconds>(model->last_used->time_since_epoch()).count();
        }
        usage.load_ms = std::chrono::duration_cast<milliseconds>(model->load_time).count();
        usage.file_bytes = model->file_bytes;
        usage.memory_correction = model->correction;
        now.insert_or_assign(name, usage);
    }
    return now;
}

}  // namespace sutazai::models
