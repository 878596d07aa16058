#include "sched/prefill_shares.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sutazai::sched {

std::vector<PrefillShare> share_prefill(std::span<const Prefill> prefills, int budget) {
    std::vector<std::size_t> order(prefills.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {},
                             [&](std::size_t i) { return std::pair(prefills[i].priority, prefills[i].arrival); });
    std::ranges::stable_sort(order.begin() + 1, order.end(), {}, [&](std::size_t i) { return prefills[i].left; });
    std::vector<PrefillShare> shares{{order.front(), budget}};
    if (prefills.size() > 1) shares.front().n_tokens = std::min(prefills[order.front()].left, (budget + 1) / 2);
    budget -= shares.front().n_tokens;
    for (const std::size_t i : std::span(order).subspan(1)) {
        shares.push_back({i, std::min(budget, prefills[i].left)});
        budget -= shares.back().n_tokens;
    }
    shares.front().n_tokens += budget;
    return shares;
}

int in_whole_groups(int n_tokens, int budget, int group) {
    const int rows = (n_tokens + budget + group / 2) / group * group;
    return rows > n_tokens ? rows - n_tokens : rows + group - n_tokens;
}

}  // namespace sutazai::sched
