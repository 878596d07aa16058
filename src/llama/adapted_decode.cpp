// Steps in which rows have adapters of their own.
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/adapter_rows.h"
#include "llama/adapters.h"
#include "llama/model_impl.h"

namespace sutazai::llama {
namespace {

struct Row {
    Token token = 0;
    int position = 0;
    sched::SlotId slot = 0;
    int set = -1;    ///< of the step's
    int chunk = -1;  ///< whose logits are wanted of it
};

void add_row(std::vector<kernels::AdapterRun>& runs, int set) {
    const int row = runs.empty() ? 0 : runs.back().end;
    if (runs.empty() || runs.back().set != set) runs.push_back({row, row, set});
    ++runs.back().end;
}

/// Is the step that is computed while this lives.
class Computed {
  public:
    explicit Computed(const kernels::AdapterStep& step) { kernels::adapter_step() = &step; }
    ~Computed() { kernels::adapter_step() = nullptr; }
    Computed(const Computed&) = delete;
    Computed& operator=(const Computed&) = delete;
};

}  // namespace

Model::Outcome Model::decode_adapted(const sched::Step& step, std::span<const AdapterSet* const> sets,
                                     const std::function<const std::vector<Token>&(sched::RequestId)>& chain) {
    kernels::AdapterStep adapted;
    adapted.places = impl_->places->buffer();
    std::vector<const AdapterSet*> known;
    const auto number_of = [&](const AdapterSet* set) -> int {
        if (set == nullptr) return -1;
        const auto found = std::ranges::find(known, set);
        if (found != known.end()) return static_cast<int>(found - known.begin());
        known.push_back(set);
        auto& terms = adapted.sets.emplace_back();
        for (const AdapterSet::Member& member : set->members) terms.push_back({member.adapter->pairs, member.scale});
        return static_cast<int>(known.size()) - 1;
    };
    // Rows of a set together share the reads of its matrices. Those with logits come last, so that they are all in the
    // last of the decodes, whose logits are the ones that stay.
    std::vector<Row> rows;
    std::vector<Row> last;
    for (std::size_t i = 0; i < step.chunks.size(); ++i) {
        const sched::Chunk& chunk = step.chunks[i];
        const int set = number_of(sets[i]);
        const std::vector<Token>& tokens = chain(chunk.request);
        if (tokens[static_cast<std::size_t>(chunk.first)] < 0) continue;  // of an image
        for (int k = 0; k < chunk.n_tokens; ++k) {
            const bool wants = chunk.wants_logits && k + 1 == chunk.n_tokens;
            const int position = chunk.first + k;
            const Row row{tokens[static_cast<std::size_t>(position)], position, chunk.slot, set,
                          wants ? static_cast<int>(i) : -1};
            (wants ? last : rows).push_back(row);
        }
    }
    std::ranges::stable_sort(rows, {}, &Row::set);
    std::ranges::stable_sort(last, {}, &Row::set);
    const auto n_plain = rows.size();
    rows.insert(rows.end(), last.begin(), last.end());

    // Each decode is one graph, because only then it is known which of its rows are which.
    const std::size_t most = llama_n_ubatch(impl_->context.get());
    for (std::size_t begin = 0; begin < rows.size();) {
        const std::size_t left = rows.size() - begin;
        const std::size_t n = left <= most ? left : std::min(most, n_plain - begin);
        adapted.tokens.clear();
        adapted.outputs.clear();
        llama_batch& batch = impl_->batch;
        batch.n_tokens = 0;
        for (const Row& row : std::span(rows).subspan(begin, n)) {
            const int at = batch.n_tokens++;
            batch.token[at] = row.token;
            batch.pos[at] = row.position;
            batch.n_seq_id[at] = 1;
            batch.seq_id[at][0] = row.slot;
            batch.logits[at] = row.chunk >= 0 ? 1 : 0;
            add_row(adapted.tokens, row.set);
            if (row.chunk < 0) continue;
            add_row(adapted.outputs, row.set);
            impl_->output_rows[static_cast<std::size_t>(row.chunk)] = at;
        }
        const Computed computed(adapted);
        const Outcome outcome = decode_batch(batch);
        if (outcome != Outcome::kDone) return outcome;
        if (adapted.is_broken) {
            spdlog::error("this model's products are not of the rows of its batch; adapters cannot be added to them");
            return Outcome::kFailed;
        }
        begin += n;
    }
    return Outcome::kDone;
}

}  // namespace sutazai::llama
