#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "artifact/fingerprint.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/model_parts.h"
#include "sched/types.h"

struct llama_model;
struct llama_vocab;

namespace sutazai::llama {

using sched::Token;

/// How a model's vectors of tokens become one of a text.
enum class Pooling : std::uint8_t {
    kMean,
    kFirst,  ///< the first token's (CLS)
    kLast,
    kRank,  ///< none: the model says how well a text answers a question
};

/// The KV state of a run of tokens: opaque bytes, valid for the same model, KV types and llama.cpp.
struct KvState {
    std::unique_ptr<std::uint8_t[]> data;  // NOLINT(modernize-avoid-c-arrays): not zeroed, unlike a vector
    std::size_t size = 0;
};

struct LoadOptions {
    std::string path;                   ///< GGUF file
    std::uint32_t context_tokens = 0;   ///< KV cells in all; 0: from the training context and batch_size
    std::uint32_t batch_size = 8;       ///< chains usually decoded together, which the default context is made for
    std::uint32_t max_sequences = 8;    ///< decoded together at most
    std::uint32_t batch_tokens = 2048;  ///< tokens in one decode at most
    std::uint32_t threads = 0;          ///< 0: one per core
    bool kv_f32 = false;                ///< full precision KV instead of half: twice the memory, for exact comparisons
    bool gpu = true;                    ///< offload all layers when the build and the machine can, else use the CPU
    /// What the file is said to hold, when that is known: the vocabulary is then loaded beside the weights, not before
    /// them. When it is not so, or does not work out, the file is loaded as one.
    std::string architecture = {};
    std::uint32_t vocabulary = 0;  ///< tokens
};

/// One loaded model: weights, vocabulary, chat template and one context with unified KV memory. This adapter and its
/// .cpp are the only users of llama.h beside synth. Exceptions of llama.cpp end here.
class Model {
  public:
    /// What a load does before it looks at its file. Once done, further calls cost nothing.
    static void prepare_process();
    /// Loads file and context. kLoadFailed with llama.cpp's own last error. `progress` gets fractions from 0 to 1 on
    /// the calling thread. One model per process: llama.cpp's log callback is global.
    [[nodiscard]] static Result<std::unique_ptr<Model>> load(const LoadOptions& options,
                                                             const std::function<void(float)>& progress);
    ~Model();
    /// Whether the file is still as it was loaded. Weights are mapped: what was computed counts only when this is asked
    /// afterwards and says true. Microseconds; any thread.
    [[nodiscard]] bool file_intact() const;
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    // Constant properties; any thread.

    struct Properties {
        int kv_cells = 0;
        int context_per_sequence = 0;  ///< tokens that one chain can hold
        int training_context = 0;
        int slots = 0;  ///< chains that the KV memory can hold at once
        int vocabulary = 0;
        /// Chains of at most so many tokens can be cut and forked at any token, longer ones only where they end: all
        /// with attention over everything, those within a sliding window, none with a recurrent state.
        int cuttable_tokens = 0;
        bool on_gpu = false;
        bool has_chat_template = false;
        bool generates = true;  ///< false: an encoder, which makes embeddings only
        Pooling pooling = Pooling::kMean;
        int embedding_width = 0;
        FileStamps files;  ///< of what was loaded
        std::uint64_t weights_bytes = 0;
        std::uint64_t parameters = 0;
        std::uint64_t untouched_bytes = 0;        ///< of the KV memory and the like: the process grows by them in use
        artifact::FingerprintParts fingerprint;   ///< without the weights' digest
        std::uint64_t state_bytes_per_token = 0;  ///< of a KvState, about; 0: states cannot be taken out
        std::string description;
    };
    [[nodiscard]] const Properties& properties() const { return properties_; }

    /// The prompt as the model reads it. kInvalidArgument when the chat template refuses it (field "messages") or it
    /// holds what is no token (field "prompt"). At least one token. Any thread; takes about a millisecond for a chat.
    [[nodiscard]] Result<std::vector<Token>> tokenize(const GenerationRequest& request) const;

    /// Appends the bytes of a generated token (maybe part of a character; nothing for control tokens).
    void append_piece(Token token, std::string& out) const;
    [[nodiscard]] bool ends_generation(Token token) const;
    [[nodiscard]] std::string piece(Token token) const;  ///< the same bytes, and the names of control tokens

    // For the other users of llama.h in this folder.
    [[nodiscard]] llama_model* handle() const;       ///< the weights; it may have no vocabulary
    [[nodiscard]] const llama_vocab* vocab() const;  ///< of this model
    [[nodiscard]] int threads() const { return threads_; }

    // The context; decode thread only.

    /// Fork or Trim.
    void apply(const sched::KvOp& op);

    /// Copies the state of the tokens [first, first + n_tokens) of a slot.
    [[nodiscard]] Result<KvState> save(sched::SlotId slot, int first, int n_tokens);
    /// The logits after the first `n_tokens` of a slot, the last of which is `last`, computed anew from the state of
    /// those before it: [vocabulary], valid until the next decode(). Null when that was aborted or failed.
    [[nodiscard]] float* logits_after(sched::SlotId slot, int n_tokens, Token last);
    /// The same after a state of `n_tokens` that begins at token `begin`, put behind the first `begin` tokens of a
    /// slot, which stays as it is. Null also when the state does not fit in.
    [[nodiscard]] float* logits_after(sched::SlotId slot, int begin, int n_tokens, const KvState& state, Token last);
    /// Puts the tokens [first, first + n_tokens) of a state that begins at token `begin` behind the `first` tokens of a
    /// slot. False when the state does not fit in or is not what it should be: the slot is as before then.
    [[nodiscard]] bool load(sched::SlotId slot, int begin, int first, int n_tokens, const KvState& state);

    enum class Outcome : std::uint8_t { kDone, kAborted, kFailed };
    /// Computes one step's chunks; `chain(request)` are the tokens of a chunk's request. After kDone logits(i) are
    /// those of the last token of chunk i, for chunks that want them. kAborted and kFailed leave a part of the step
    /// behind, which the scheduler's roll_back() cleans up.
    [[nodiscard]] Outcome decode(const sched::Step& step,
                                 const std::function<const std::vector<Token>&(sched::RequestId)>& chain);
    [[nodiscard]] float* logits(std::size_t chunk) const;  ///< [vocabulary]; valid, and free to change, until decode()

    /// Asked often during decode(), on any thread: true ends it with kAborted.
    void set_abort_check(std::function<bool()> check) { abort_check_ = std::move(check); }

    /// Runs a prompt and a decode step and forgets them, so that the first request finds pages and buffers ready.
    void warm_up();

  private:
    [[nodiscard]] static Result<std::unique_ptr<Model>> load(const LoadOptions& options,
                                                             const std::function<void(float)>& progress, bool in_parts);
    Model();
    [[nodiscard]] float* logits_of_passage(int position, Token token);
    struct Impl;
    std::unique_ptr<Impl> impl_;
    Properties properties_;
    int threads_ = 1;
    std::function<bool()> abort_check_;
};

}  // namespace sutazai::llama
