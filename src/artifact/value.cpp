#include "artifact/value.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

namespace sutazai::artifact {
namespace {

constexpr double kHalfLifeSeconds = 24 * 3600.0;
constexpr double kBytesPerUnknownMicrosecond = 100;

}  // namespace

double value_of(const Worth& worth) {
    const auto bytes = static_cast<double>(std::max<std::uint64_t>(worth.bytes, 1));
    const double compute =
        worth.compute_us > 0 ? static_cast<double>(worth.compute_us) : bytes / kBytesPerUnknownMicrosecond;
    const double idle = static_cast<double>(std::max<std::int64_t>(worth.idle_s, 0));
    return (worth.uses + 1.0) * std::exp2(-idle / kHalfLifeSeconds) * compute / bytes;
}

std::vector<std::size_t> choose_evictions(std::span<const Worth> all, const EvictionRules& rules) {
    std::unordered_map<ChainHash, std::size_t, DigestHash> by_hash;
    by_hash.reserve(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) by_hash.emplace(all[i].hash, i);

    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), 0);
    const auto ascending = [&](std::size_t a, std::size_t b) { return all[a].first < all[b].first; };
    const auto parent_of = [&](std::size_t i) -> const std::size_t* {
        const auto found = by_hash.find(all[i].parent);
        // Positions grow along a chain; entries that say otherwise are not each other's parents.
        return found != by_hash.end() && all[found->second].first < all[i].first ? &found->second : nullptr;
    };

    struct Rank {
        double value = 0;
        bool expired = false;
        bool is_protected = false;
    };
    std::vector<Rank> ranks(all.size());
    // From the heads down, to know orphans: of no use until somebody writes what is missing.
    std::ranges::stable_sort(order, ascending);
    for (const std::size_t i : order) {
        const std::size_t* parent = parent_of(i);
        const bool orphan = all[i].first > 0 && (parent == nullptr || ranks[*parent].value == 0);
        ranks[i] = {orphan ? 0 : value_of(all[i]), all[i].idle_s > rules.retention_s,
                    all[i].idle_s < rules.protected_s};
    }
    // And from the ends up: whoever needs a block needs the ones before it.
    for (auto i = order.rbegin(); i != order.rend(); ++i) {
        const std::size_t* parent = parent_of(*i);
        if (parent == nullptr) continue;
        ranks[*parent].value = std::max(ranks[*parent].value, ranks[*i].value);
        ranks[*parent].expired = ranks[*parent].expired && ranks[*i].expired;
        ranks[*parent].is_protected = ranks[*parent].is_protected || ranks[*i].is_protected;
    }

    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        if (ranks[a].expired != ranks[b].expired) return ranks[a].expired;
        if (ranks[a].value != ranks[b].value) return ranks[a].value < ranks[b].value;
        return all[a].first > all[b].first;
    });
    std::uint64_t total = 0;
    for (const Worth& worth : all) total += worth.bytes;
    std::vector<std::size_t> out;
    for (const std::size_t i : order) {
        if (ranks[i].is_protected) continue;
        if (!ranks[i].expired && total <= rules.byte_limit) break;
        total -= all[i].bytes;
        out.push_back(i);
    }
    return out;
}

}  // namespace sutazai::artifact
