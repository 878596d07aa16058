#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact/fingerprint.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/model_parts.h"
#include "llama/prompt_images.h"
#include "llama/side_context.h"
#include "llama/tokenizer.h"
#include "sched/types.h"

namespace sutazai::grammar {
class TokenTrie;
}

namespace sutazai::llama {

using sched::Token;
struct AdapterSet;  // llama/adapters.h
class Sampler;      // llama/sampler.h
class ChatForm;     // llama/chat_form.h

/// How a model's vectors of tokens become one of a text.
enum class Pooling : std::uint8_t {
    kMean,
    kFirst,  ///< the first token's (CLS)
    kLast,
    kRank,  ///< none: the model says how well a text answers a question (Task::kRank)
};

/// The KV state of a run of tokens: opaque bytes, valid for the same model, KV types and llama.cpp.
struct KvState {
    std::unique_ptr<std::uint8_t[]> data;  // NOLINT(modernize-avoid-c-arrays): not zeroed, unlike a vector
    std::size_t size = 0;
};

/// What the engine needs of a model: its words, and a KV memory in which steps are computed. Model is one that
/// llama.cpp has loaded; the tests of the engine's threads have one that computes nothing.
class LanguageModel {
  public:
    virtual ~LanguageModel() = default;
    LanguageModel(const LanguageModel&) = delete;
    LanguageModel& operator=(const LanguageModel&) = delete;

    // Constant properties; any thread.

    struct Properties {
        int kv_cells = 0;
        int context_per_sequence = 0;  ///< tokens that one sequence can hold
        int training_context = 0;
        int slots = 0;  ///< sequences that the KV memory can hold at once
        int vocabulary = 0;
        /// Partial removal: the last tokens of a sequence of at most so many can be removed, and it can be forked at
        /// any token; a longer one only as a whole, where it ends. All with attention over everything, those within a
        /// sliding window, none with a recurrent state.
        int partial_removal_tokens = 0;
        bool on_gpu = false;
        bool has_chat_template = false;
        bool knows_tools = false;  ///< its chat template does
        bool thinks = false;       ///< before it answers, and its chat template tells how
        bool sees = false;         ///< it takes images
        bool generates = true;     ///< false: an encoder, which makes embeddings only
        Pooling pooling = Pooling::kMean;
        int embedding_width = 0;
        FileStamps files;  ///< of what was loaded
        std::uint64_t weights_bytes = 0;
        std::uint64_t parameters = 0;
        /// Of the repacked weights, what lies in memory that other processes may map, and from where.
        struct SharedWeights {
            int fd = -1;              ///< of this process; -1: there is none
            std::uint64_t id = 0;     ///< of the memory, the same in all processes
            std::uint64_t bytes = 0;  ///< of it, those that this model uses
            std::string sibling;      ///< the model whose engine they were taken from; empty: they were made here
        } shared;
        std::uint64_t untouched_bytes = 0;        ///< of the KV memory and the like: the process grows by them in use
        artifact::FingerprintParts fingerprint;   ///< without the weights' digest
        std::uint64_t state_bytes_per_token = 0;  ///< of a KvState, about; 0: states cannot be taken out
        std::string description;
    };
    [[nodiscard]] const Properties& properties() const { return properties_; }

    /// Whether the file is still as it was loaded. Weights are mapped: what was computed counts only when this is asked
    /// afterwards and says true. Microseconds; any thread.
    [[nodiscard]] virtual bool file_intact() const = 0;

    /// The prompt as the model reads it. kInvalidArgument when the chat template refuses it (field "messages") or it
    /// holds what is no token (field "prompt"), and what Tokenizer::tokenize() fails with. At least one token, but of
    /// Task::kRead. Any thread; takes about a millisecond for a chat. Images in it are encoded, which takes seconds,
    /// and appended to `images`; without that they are only counted. kInvalidArgument when the model takes none.
    [[nodiscard]] virtual Result<std::vector<Token>> tokenize(
        const GenerationRequest& request, std::size_t most_tokens = std::numeric_limits<std::size_t>::max(),
        const CancelCheck& cancelled = {}, PromptImages* images = nullptr) const = 0;
    /// A chat as the template writes it, that of the request or the model's. Fails as tokenize() does; any thread.
    [[nodiscard]] virtual Result<std::string> chat_text(const GenerationRequest& request,
                                                        const CancelCheck& cancelled) const = 0;
    /// The form of the next answer in a chat; null: it is plain text. Fails as ChatForms::of(). Any thread;
    /// microseconds for what has been asked before, else some milliseconds.
    [[nodiscard]] virtual Result<std::shared_ptr<const ChatForm>> chat_form(
        const GenerationRequest& /*request*/) const {
        return nullptr;
    }
    /// A short text, as it is, to tokens; names of control tokens are these. Any thread.
    [[nodiscard]] virtual std::vector<Token> tokens_of_text(std::string_view /*text*/) const { return {}; }
    /// texts(), in which the tokens that answers in this model's forms are made of have their names for texts.
    [[nodiscard]] virtual const grammar::TokenTrie& form_texts() const { return texts(); }
    /// Does the text hold the name of a token that is not shown in output?
    [[nodiscard]] virtual bool names_hidden_token(std::string_view text) const = 0;

    /// What each token writes; made at the first call, which takes some 50 ms for a large vocabulary.
    [[nodiscard]] virtual const grammar::TokenTrie& texts() const = 0;
    /// The one token that a name such as "<|im_end|>" is.
    [[nodiscard]] virtual std::optional<Token> token_named(std::string_view name) const = 0;

    /// Draws tokens as the parameters say; it may not outlive the model.
    [[nodiscard]] virtual std::unique_ptr<Sampler> sampler(const SamplingParams& params) const = 0;

    /// Appends the bytes of a generated token (maybe part of a character; nothing for control tokens).
    virtual void append_piece(Token token, std::string& out) const = 0;
    [[nodiscard]] virtual bool ends_generation(Token token) const = 0;
    [[nodiscard]] virtual std::string piece(
        Token token) const = 0;  ///< the same bytes, and the names of control tokens

    /// For what is computed beside the streams; it may not outlive the model.
    [[nodiscard]] virtual std::unique_ptr<SideContext> beside(SideContext::Kind kind) const = 0;

    // The KV memory; decode thread only.

    /// Fork or Trim.
    virtual void apply(const sched::KvOp& op) = 0;

    /// Copies the state of the tokens [first, first + n_tokens) of a slot.
    [[nodiscard]] virtual Result<KvState> save(sched::SlotId slot, int first, int n_tokens) = 0;
    /// The logits after the first `n_tokens` of a slot, the last of which is `last`, computed anew from the state of
    /// those before it: [vocabulary], valid until the next decode(). Null when that was aborted or failed.
    [[nodiscard]] virtual float* logits_after(sched::SlotId slot, int n_tokens, Token last) = 0;
    /// The same after a state of `n_tokens` that begins at token `begin`, put behind the first `begin` tokens of a
    /// slot, which stays as it is. Null also when the state does not fit in.
    [[nodiscard]] virtual float* logits_after(sched::SlotId slot, int begin, int n_tokens, const KvState& state,
                                              Token last) = 0;
    /// Puts the tokens [first, first + n_tokens) of a state that begins at token `begin` behind the `first` tokens of a
    /// slot. False when the state does not fit in or is not what it should be: the slot is as before then.
    [[nodiscard]] virtual bool load(sched::SlotId slot, int begin, int first, int n_tokens, const KvState& state) = 0;

    enum class Outcome : std::uint8_t { kDone, kAborted, kFailed };
    /// Computes one step's chunks; `chain(request)` are the tokens of a chunk's request. After kDone logits(i) are
    /// those of the last token of chunk i, for chunks that want them. kAborted and kFailed leave a part of the step
    /// behind, which the scheduler's roll_back() cleans up.
    [[nodiscard]] virtual Outcome decode(const sched::Step& step,
                                         const std::function<const std::vector<Token>&(sched::RequestId)>& chain) = 0;
    /// [vocabulary]; valid, and free to change, until decode().
    [[nodiscard]] virtual float* logits(std::size_t chunk) const = 0;

    /// The adapters of a request, read if they are not in memory; any thread. Of an empty list: a set that adds
    /// nothing. Fails as AdapterShelf::open() does.
    [[nodiscard]] virtual Result<std::shared_ptr<const AdapterSet>> open_adapters(
        std::span<const AdapterChoice> wanted) const = 0;
    /// Asked by decode() for each chunk's request: what is added to the model for it; null: nothing. Set before the
    /// first decode; what it names lives through the decode.
    void set_adapters_of(std::function<const AdapterSet*(sched::RequestId)> adapters_of) {
        adapters_of_ = std::move(adapters_of);
    }

    /// Asked by decode() where a chunk's tokens stand for an image: those of its request's prompt. Set before the first
    /// decode; what it names lives through the decode.
    void set_images_of(std::function<const PromptImages*(sched::RequestId)> images_of) {
        images_of_ = std::move(images_of);
    }

    /// Asked often during decode(), on any thread: true ends it with kAborted.
    void set_abort_check(std::function<bool()> check) { abort_check_ = std::move(check); }

  protected:
    LanguageModel() = default;

    Properties properties_;
    std::function<bool()> abort_check_;
    std::function<const AdapterSet*(sched::RequestId)> adapters_of_;
    std::function<const PromptImages*(sched::RequestId)> images_of_;
};

}  // namespace sutazai::llama
