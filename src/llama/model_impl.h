#pragma once

#include <llama.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/file_guard.h"
#include "grammar/token_trie.h"
#include "kernels/weight_share.h"
#include "llama/adapter_places.h"
#include "llama/adapters.h"
#include "llama/model.h"
#include "llama/vision.h"
#include "llama/vocabulary.h"

/// For model.cpp and model_load.cpp.
namespace sutazai::llama {

struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
};

struct Model::Impl {
    std::optional<FileGuard> files;  ///< once it is loaded
    std::optional<kernels::WeightShare> share;
    LlamaModel model;
    std::unique_ptr<llama_context, ContextDeleter> context;
    Vocabulary words;
    const llama_vocab* vocab = nullptr;  ///< of `words`, or of `model`
    bool control_tokens_in_messages = false;
    llama_batch batch{};
    std::unique_ptr<const Vision> vision;  ///< null: there is no projector
    std::unique_ptr<AdapterShelf> shelf;
    std::unique_ptr<AdapterPlaces> places;
    /// Puts a state into an empty sequence; false when it does not begin where it should.
    bool read_state(const KvState& state, sched::SlotId sequence, int begin) const {
        return llama_state_seq_set_data(context.get(), state.data.get(), state.size, sequence) == state.size &&
               llama_memory_seq_pos_min(llama_get_memory(context.get()), sequence) == begin;
    }

    std::once_flag texts_made;
    std::unique_ptr<const grammar::TokenTrie> texts;
    std::once_flag form_texts_made;
    std::unique_ptr<const grammar::TokenTrie> form_texts;  ///< null: they are `texts`
    std::vector<int> output_rows;  ///< [chunks of the last step] index in the batch, -1 without logits

    ~Impl() {
        if (batch.token != nullptr) llama_batch_free(batch);
    }
};

}  // namespace sutazai::llama
