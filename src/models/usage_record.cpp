#include "models/usage_record.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sutazai::models {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

namespace {

/// Between two notes of what is used, besides those at each load and eviction.
constexpr seconds kBetweenNotes{10};

Usage usage_of(const WarmModel& model, std::uint64_t n_requests) {
    Usage out;
    out.warm = model.slot != nullptr;
    out.pinned = model.pinned;
    out.score = model.use.popularity.score(n_requests);
    if (model.use.last) {
        out.last_used_s = std::chrono::duration_cast<seconds>(model.use.last->time_since_epoch()).count();
    }
    out.load_ms = std::chrono::duration_cast<milliseconds>(model.load.took).count();
    out.file_bytes = model.file.bytes;
    out.memory_correction = model.memory.correction();
    return out;
}

}  // namespace

UsageRecord::UsageRecord(BlockingPool& pool, const std::string& path) : writer_(pool, path) {
    if (!path.empty()) before_ = read_usage(path);
}

void UsageRecord::recall(WarmModel& model, std::uint64_t n_requests, const catalog::Catalog& catalog) const {
    auto found = before_.find(model.name);
    if (found == before_.end()) {
        found = std::ranges::find_if(before_, [&](const auto& entry) {
            const auto file = catalog.find(entry.first);
            return file && file->engine == model.key;
        });
    }
    if (found == before_.end()) return;
    const Usage& usage = found->second;
    model.use.popularity.begin_with(usage.score, n_requests);
    model.pinned = usage.pinned;
    if (usage.last_used_s > 0) model.use.last = system_clock::time_point(seconds(usage.last_used_s));
    if (usage.file_bytes != model.file.bytes) return;
    model.load.took = milliseconds(usage.load_ms);
    model.memory.set_correction(usage.memory_correction);
}

bool UsageRecord::was_pinned(const std::string& name) const {
    const auto found = before_.find(name);
    return found != before_.end() && found->second.pinned;
}

std::vector<std::string> UsageRecord::was_warm(const catalog::Catalog& catalog) const {
    std::vector<std::pair<std::string, Usage>> warm;
    for (const auto& [name, usage] : before_) {
        if (usage.warm && catalog.find(name)) warm.emplace_back(name, usage);
    }
    std::ranges::stable_sort(warm, [](const auto& a, const auto& b) {
        const auto rank = [](const Usage& usage) { return std::tuple(usage.pinned, usage.score, usage.last_used_s); };
        return rank(a.second) > rank(b.second);
    });
    std::vector<std::string> names;
    names.reserve(warm.size());
    for (auto& [name, usage] : warm) names.push_back(std::move(name));
    return names;
}

std::size_t UsageRecord::n_was_warm() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(before_, [](const auto& entry) { return entry.second.warm; }));
}

UsageByName UsageRecord::now(const WarmModels& models, std::uint64_t n_requests) const {
    UsageByName now = before_;
    for (auto& [name, usage] : now) usage.warm = false;
    for (const auto& [key, model] : models) {
        if (!model->replaced) now.insert_or_assign(model->name, usage_of(*model, n_requests));
    }
    return now;
}

void UsageRecord::write(UsageByName usage) {
    written_at_ = Clock::now();
    writer_.write(std::move(usage));
}

bool UsageRecord::is_due() const {
    return Clock::now() > written_at_ + kBetweenNotes;
}

}  // namespace sutazai::models
