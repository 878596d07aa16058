#include "llama/adapter_places.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <llama-adapter.h>  // llama.cpp's own: what it makes of files only
#include <llama-model.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::llama {
namespace {

/// Places that nobody uses cost a few percent of a step, to plan the graph anew about as much as one.
constexpr int kStepsWithout = 16;
constexpr int kRankStep = 64;

}  // namespace

/// All tensors lie at the same few bytes: nothing is read there.
struct AdapterPlaces::Made {
    alignas(64) std::array<std::byte, 64> bytes{};
    std::vector<kernels::AdapterPlace> places;
    llama_adapter_lora* adapter = nullptr;   ///< the model's, which frees it at its end
    ggml_backend_buffer_t buffer = nullptr;  ///< the adapter's
};

const ggml_backend_buffer* AdapterPlaces::buffer() const {
    return made_ == nullptr ? nullptr : made_->buffer;
}

bool AdapterPlaces::ready_for(std::span<const AdapterSet* const> sets, const AdapterShelf& shelf) {
    std::size_t n_weights = 0;
    int rank = 0;
    for (const AdapterSet* set : sets) {
        if (set == nullptr) continue;
        int together = 0;
        for (const AdapterSet::Member& member : set->members) {
            n_weights = std::max(n_weights, member.adapter->pairs.size());
            together += member.adapter->most_rank;
        }
        rank = std::max(rank, together);
    }
    if (rank == 0) {
        if (shown_ && ++steps_without_ > kStepsWithout) show(false);
        return shown_;
    }
    steps_without_ = 0;
    if (n_weights > n_weights_ || rank > rank_) make(shelf, std::max(rank, rank_));
    if (!shown_) show(true);
    return true;
}

void AdapterPlaces::make(const AdapterShelf& shelf, int rank) {
    const std::vector<std::string> weights = shelf.weights();
    rank = (rank + kRankStep - 1) / kRankStep * kRankStep;
    auto made = std::make_shared<Made>();
    auto adapter = std::make_unique<llama_adapter_lora>(model_);
    adapter->alpha = 0;
    ggml_init_params params{};
    params.mem_size = 2 * weights.size() * ggml_tensor_overhead();
    params.no_alloc = true;
    adapter->ctxs.emplace_back(ggml_init(params));
    adapter->bufs.emplace_back(ggml_backend_cpu_buffer_from_ptr(made->bytes.data(), made->bytes.size()));
    if (adapter->ctxs.back() == nullptr || adapter->bufs.back() == nullptr) {
        throw std::runtime_error("no memory for the places of adapters");
    }
    made->buffer = adapter->bufs.back().get();
    made->places.reserve(2 * weights.size());
    for (std::size_t number = 0; number < weights.size(); ++number) {
        const ggml_tensor* weight = model_->get_tensor(weights[number].c_str());
        const auto place = [&](std::int64_t n_in, std::int64_t n_out, bool is_b) {
            ggml_tensor* tensor = ggml_new_tensor_2d(adapter->ctxs.back().get(), GGML_TYPE_F32, n_in, n_out);
            tensor->buffer = made->buffer;
            tensor->data = made->bytes.data();
            tensor->extra = &made->places.emplace_back(kernels::AdapterPlace{number, is_b});
            return tensor;
        };
        ggml_tensor* a = place(weight->ne[0], rank, false);
        ggml_tensor* b = place(rank, weight->ne[1], true);
        adapter->ab_map[weights[number]] = {a, b};
    }
    show(false);
    if (made_ != nullptr) {
        model_->loras.erase(made_->adapter);
        delete made_->adapter;
    }
    made->adapter = adapter.release();
    model_->loras.insert(made->adapter);
    made_ = std::move(made);
    n_weights_ = weights.size();
    rank_ = rank;
    spdlog::debug("adapters have places beside {} weights, of a rank of {}", n_weights_, rank_);
}

void AdapterPlaces::show(bool shown) {
    if (shown == shown_) return;
    float scale = 1;
    llama_adapter_lora* adapter = shown ? made_->adapter : nullptr;
    llama_set_adapters_lora(context_, shown ? &adapter : nullptr, shown ? 1 : 0, shown ? &scale : nullptr);
    shown_ = shown;
    steps_without_ = 0;
}

}  // namespace sutazai::llama
