#include "models/shared_weights.h"

#include <algorithm>
#include <map>
#include <ranges>
#include <tuple>
#include <utility>

namespace sutazai::models {
namespace {

bool same_file(const FileStamps& a, const FileStamps& b) {
    return !a.empty() && std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.same_content(y); });
}

bool has_weights(const EngineSlot& slot) {
    return slot.engine->info().shared.fd >= 0 && slot.engine->pid() != 0;
}

/// Files with the same tensors differ in their heads: templates, names, dates.
constexpr std::uint64_t kAlike = 64;

/// Who stays longer is larger.
using Stays = std::tuple<bool, bool, double>;

}  // namespace

void settle_shared_weights(const WarmModels& models, const Slots& ending, std::uint64_t n_requests) {
    std::map<std::uint64_t, std::vector<std::pair<Stays, EngineSlot*>>> in_common;
    const auto add = [&](EngineSlot& slot, const Stays& stays) {
        slot.paid_by_others = 0;
        if (has_weights(slot)) in_common[slot.engine->info().shared.id].emplace_back(stays, &slot);
    };
    for (const auto& [key, model] : models) {
        if (model->slot) {
            add(*model->slot, {!model->slot->leaving, model->is_pinned(), model->use.popularity.score(n_requests)});
        }
    }
    for (const auto& slot : ending) add(*slot, {false, false, -1});
    for (auto& [id, slots] : in_common) {
        const auto payer = std::ranges::max_element(slots, {}, [](const auto& entry) { return entry.first; });
        for (auto& [stays, slot] : slots) {
            if (slot != payer->second) slot->paid_by_others = slot->engine->info().shared.bytes;
        }
    }
    for (const auto& [key, model] : models) {
        model->file.shared_bytes = 0;
        if (!model->file.may_share || (model->slot && !model->slot->stale)) continue;
        for (const auto& [other_key, other] : models) {
            if (!other->slot || !has_weights(*other->slot) || !same_file(model->file.stamps, other->slot->stamps)) {
                continue;
            }
            model->file.shared_bytes = std::max(model->file.shared_bytes, other->slot->engine->info().shared.bytes);
        }
    }
}

bool may_have_siblings(const WarmModel& model, const catalog::Catalog& catalog) {
    return std::ranges::any_of(catalog.list(), [&](const catalog::ModelFile& other) {
        const auto [less, more] = std::minmax(other.bytes, model.file.bytes);
        return other.engine != model.key && less > 0 && more - less <= more / kAlike;
    });
}

std::vector<ipc::EngineOptions::Sibling> siblings_of(const WarmModel& model, const WarmModels& models,
                                                     const Slots& ending) {
    std::vector<std::pair<bool, ipc::EngineOptions::Sibling>> found;
    const auto add = [&](const EngineSlot& slot) {
        if (!has_weights(slot)) return;
        found.push_back({same_file(model.file.stamps, slot.stamps),
                         {slot.engine->pid(), slot.engine->info().shared.fd, slot.model}});
    };
    for (const auto& [key, other] : models) {
        if (other->slot && other->file.architecture == model.file.architecture) add(*other->slot);
    }
    for (const auto& slot : ending) add(*slot);
    std::ranges::stable_partition(found, [](const auto& entry) { return entry.first; });
    std::vector<ipc::EngineOptions::Sibling> out;
    for (auto& [same, sibling] : found | std::views::take(kMostSiblings)) out.push_back(std::move(sibling));
    return out;
}

}  // namespace sutazai::models
