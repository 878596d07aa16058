#include "llama/logit_row.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/logit_scan.h"

namespace sutazai::llama {
namespace {

bool better(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

}  // namespace

bool LogitRow::read(std::span<const float> logits) {
    logits_ = logits;
    largest_of_block_.resize(kernels::scan_blocks(logits.size()));
    if (!kernels::scan_logits(logits, largest_of_block_)) return false;
    largest_ = *std::ranges::max_element(largest_of_block_);
    return true;
}

sched::Token LogitRow::most_likely() const {
    const auto block = std::ranges::find(largest_of_block_, largest_) - largest_of_block_.begin();
    const auto begin = logits_.begin() + block * static_cast<std::ptrdiff_t>(kernels::kScanBlock);
    return static_cast<sched::Token>(std::find(begin, logits_.end(), largest_) - logits_.begin());
}

/// In the order of the tokens.
void LogitRow::collect(float least, std::vector<Candidate>& out) const {
    out.clear();
    for (std::size_t block = 0; block < largest_of_block_.size(); ++block) {
        if (largest_of_block_[block] < least) continue;
        const std::size_t end = std::min((block + 1) * kernels::kScanBlock, logits_.size());
        for (std::size_t i = block * kernels::kScanBlock; i < end; ++i) {
            if (logits_[i] >= least) out.push_back({logits_[i], static_cast<sched::Token>(i)});
        }
    }
}

void LogitRow::select_top(std::size_t n, std::vector<Candidate>& out) {
    out.clear();
    if (n == 0) return;
    // Each of the n blocks with the largest logits has one of at least the n-th of these: so do the n best.
    float least = std::numeric_limits<float>::lowest();
    if (n <= largest_of_block_.size()) {
        scratch_ = largest_of_block_;
        const auto nth = scratch_.begin() + static_cast<std::ptrdiff_t>(n - 1);
        std::ranges::nth_element(scratch_, nth, std::greater<>());
        least = std::max(least, *nth);
    }
    collect(least, out);
    if (out.size() > n) {
        std::ranges::nth_element(out, out.begin() + static_cast<std::ptrdiff_t>(n), better);
        out.resize(n);
    }
    std::ranges::sort(out, better);
}

void LogitRow::select_at_least(float least, std::vector<Candidate>& out) const {
    collect(least, out);
    std::ranges::sort(out, better);
}

}  // namespace sutazai::llama
