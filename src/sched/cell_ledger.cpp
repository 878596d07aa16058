#include "sched/cell_ledger.h"

#include <cassert>
#include <cstdlib>
#include <numeric>

namespace sutazai::sched {

CellLedger::CellLedger(int cells, int slots) : references_(cells, 0), free_(cells), sequences_(slots) {
    std::iota(free_.rbegin(), free_.rend(), 0);
}

int CellLedger::held_by(std::span<const Part> parts) const {
    std::vector<char> held(references_.size(), 0);
    int count = 0;
    for (const Part& part : parts) {
        for (int i = 0; i < part.n_tokens; ++i) {
            char& mark = held[sequences_[part.slot][i]];
            count += mark == 0 ? 1 : 0;
            mark = 1;
        }
    }
    return count;
}

void CellLedger::grow(SlotId slot, int n_tokens) {
    assert(n_tokens <= free());
    for (int i = 0; i < n_tokens; ++i) {
        const int cell = free_.back();
        free_.pop_back();
        references_[cell] = 1;
        sequences_[slot].push_back(cell);
    }
}

void CellLedger::fork(SlotId from, SlotId to, int n_tokens) {
    assert(sequences_[to].empty() && n_tokens <= length(from));
    sequences_[to].assign(sequences_[from].begin(), sequences_[from].begin() + n_tokens);
    for (const int cell : sequences_[to]) ++references_[cell];
}

void CellLedger::trim(SlotId slot, int n_tokens) {
    auto& tokens = sequences_[slot];
    while (static_cast<int>(tokens.size()) > n_tokens) {
        if (--references_[tokens.back()] == 0) free_.push_back(tokens.back());
        tokens.pop_back();
    }
}

void CellLedger::check() const {
    std::vector<int> counted(references_.size(), 0);
    for (const auto& tokens : sequences_) {
        for (const int cell : tokens) ++counted[cell];
    }
    if (counted != references_) std::abort();
    int free_cells = 0;
    for (const int count : counted) free_cells += count == 0 ? 1 : 0;
    if (free_cells != free()) std::abort();
    for (const int cell : free_) {
        if (counted[cell] != 0) std::abort();
    }
}

}  // namespace sutazai::sched
