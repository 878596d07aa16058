#pragma once

#include <memory>
#include <span>

#include "kernels/adapter_rows.h"
#include "llama/adapters.h"

struct llama_context;
struct llama_model;

namespace sutazai::llama {

/// The places in a context's graphs where adapters compute (kernels/adapter_rows.h): one adapter of llama.cpp's own
/// without numbers, beside every weight that any adapter so far has something for. Decode thread.
class AdapterPlaces {
  public:
    AdapterPlaces(llama_model* model, llama_context* context) : model_(model), context_(context) {}

    /// Before a step whose chunks have these sets (null: none). Says whether there are places in the graph that the
    /// step is computed with. They are put there for the first step that has adapters and stay until a number of
    /// steps had none, because a graph with other places costs milliseconds to plan.
    [[nodiscard]] bool ready_for(std::span<const AdapterSet* const> sets, const AdapterShelf& shelf);
    /// Where the places lie, once there are any.
    [[nodiscard]] const ggml_backend_buffer* buffer() const;

  private:
    struct Made;
    void make(const AdapterShelf& shelf, int rank);
    void show(bool shown);

    llama_model* model_;
    llama_context* context_;
    std::shared_ptr<Made> made_;
    std::size_t n_weights_ = 0;
    int rank_ = 0;
    bool shown_ = false;
    int steps_without_ = 0;
};

}  // namespace sutazai::llama
