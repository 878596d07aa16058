#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "llama/chat_template.h"
#include "llama/language_model.h"
#include "llama/tokenizer.h"
#include "sched/types.h"

struct llama_batch;
struct llama_model;
struct llama_vocab;

namespace sutazai::llama {

struct ModelSource;  // vocabulary.h

struct LoadOptions {
    std::string path;                   ///< GGUF file
    std::string projector = {};         ///< GGUF file that makes rows of the model out of images; empty: it sees none
    std::uint32_t context_tokens = 0;   ///< KV cells in all; 0: from the training context and batch_size
    std::uint32_t batch_size = 8;       ///< chains usually decoded together, which the default context is made for
    std::uint32_t max_sequences = 8;    ///< decoded together at most
    std::uint32_t batch_tokens = 2048;  ///< tokens in one decode at most
    std::uint32_t threads = 0;          ///< 0: one per core
    std::string kv_type = {};           ///< one of kKvTypes; empty: the default one
    bool gpu = true;                    ///< offload all layers when the build and the machine can, else use the CPU
    /// What the file is said to hold, when that is known: the vocabulary is then loaded beside the weights, not before
    /// them. When it is not so, or does not work out, the file is loaded as one.
    std::string architecture = {};
    std::uint32_t vocabulary = 0;  ///< tokens
    TemplateChoice templates = {};
    std::uint64_t adapter_bytes = std::uint64_t{1} << 30;  ///< memory for adapters at most
    bool control_tokens_in_messages = false;  ///< names of control tokens in a message's text become those tokens
    /// An engine process whose repacked weights may be started from, if it has any of these.
    struct Sibling {
        int pid = 0;
        int fd = -1;        ///< as that process has it
        std::string model;  ///< by name
    };
    bool share_weights = false;  ///< repacked weights go to memory that others may map
    std::vector<Sibling> siblings = {};
    std::string artifacts_dir = {};  ///< where digests of tensors are kept; empty: nowhere
};

/// One loaded model: weights, vocabulary, chat template and one context with unified KV memory. This adapter and its
/// .cpp are the only users of llama.h beside synth. Exceptions of llama.cpp end here.
class Model final : public LanguageModel {
  public:
    /// What a load does before it looks at its file. Once done, further calls cost nothing.
    static void prepare_process();
    /// Loads file and context. kLoadFailed with llama.cpp's own last error. `progress` gets fractions from 0 to 1 on
    /// the calling thread. One model per process: llama.cpp's log callback is global.
    [[nodiscard]] static Result<std::unique_ptr<Model>> load(const LoadOptions& options,
                                                             const std::function<void(float)>& progress);
    ~Model() override;

    [[nodiscard]] Result<std::vector<Token>> tokenize(const GenerationRequest& request,
                                                      std::size_t most_tokens = std::numeric_limits<std::size_t>::max(),
                                                      const CancelCheck& cancelled = {},
                                                      PromptImages* images = nullptr) const override;
    [[nodiscard]] const Tokenizer& tokenizer() const;
    [[nodiscard]] bool names_hidden_token(std::string_view text) const override;
    [[nodiscard]] const grammar::TokenTrie& texts() const override;
    [[nodiscard]] Result<std::shared_ptr<const ChatForm>> chat_form(const GenerationRequest& request) const override;
    [[nodiscard]] std::vector<Token> tokens_of_text(std::string_view text) const override;
    [[nodiscard]] const grammar::TokenTrie& form_texts() const override;
    [[nodiscard]] std::optional<Token> token_named(std::string_view name) const override;
    void append_piece(Token token, std::string& out) const override;
    [[nodiscard]] bool ends_generation(Token token) const override;
    [[nodiscard]] std::string piece(Token token) const override;
    [[nodiscard]] std::unique_ptr<SideContext> beside(SideContext::Kind kind) const override;
    [[nodiscard]] bool file_intact() const override;

    // For the other users of llama.h in this folder.
    [[nodiscard]] llama_model* handle() const;       ///< the weights; it may have no vocabulary
    [[nodiscard]] const llama_vocab* vocab() const;  ///< of this model
    [[nodiscard]] int threads() const { return threads_; }

    void apply(const sched::KvOp& op) override;
    [[nodiscard]] Result<KvState> save(sched::SlotId slot, int first, int n_tokens) override;
    [[nodiscard]] float* logits_after(sched::SlotId slot, int n_tokens, Token last) override;
    [[nodiscard]] float* logits_after(sched::SlotId slot, int begin, int n_tokens, const KvState& state,
                                      Token last) override;
    [[nodiscard]] bool load(sched::SlotId slot, int begin, int first, int n_tokens, const KvState& state) override;
    [[nodiscard]] Outcome decode(const sched::Step& step,
                                 const std::function<const std::vector<Token>&(sched::RequestId)>& chain) override;
    [[nodiscard]] float* logits(std::size_t chunk) const override;
    [[nodiscard]] Result<std::shared_ptr<const AdapterSet>> open_adapters(
        std::span<const AdapterChoice> wanted) const override;

    /// Runs a prompt and a decode step and forgets them, so that the first request finds pages and buffers ready.
    void warm_up();

    [[nodiscard]] std::unique_ptr<Sampler> sampler(const SamplingParams& params) const override;
    [[nodiscard]] Result<std::string> chat_text(const GenerationRequest& request,
                                                const CancelCheck& cancelled) const override;

  private:
    [[nodiscard]] Result<std::vector<TextRun>> render(const Chat& chat, const std::string& other,
                                                      const CancelCheck& cancelled) const;
    [[nodiscard]] std::string rank_template() const;
    [[nodiscard]] Result<void> add_image(const Image& image, std::size_t number, const CancelCheck& cancelled,
                                         std::vector<Token>& tokens, PromptImages* images) const;
    [[nodiscard]] Result<std::vector<Token>> tokenize_seen(const GenerationRequest& request, std::size_t most_tokens,
                                                           const CancelCheck& cancelled, PromptImages* images) const;
    [[nodiscard]] Result<std::vector<Token>> tokenize_prompt(const GenerationRequest& request, std::size_t most_tokens,
                                                             const CancelCheck& cancelled) const;
    [[nodiscard]] static Result<std::unique_ptr<Model>> load(const LoadOptions& options, const ModelSource& source,
                                                             const FileStamps& stamps,
                                                             const std::function<void(float)>& progress, bool in_parts);
    void publish_weights();
    Model();
    [[nodiscard]] float* logits_of_passage(int position, Token token);
    [[nodiscard]] Outcome decode_adapted(const sched::Step& step, std::span<const AdapterSet* const> sets,
                                         const std::function<const std::vector<Token>&(sched::RequestId)>& chain);
    [[nodiscard]] Outcome decode_batch(const llama_batch& batch);
    [[nodiscard]] Outcome decode_images(const sched::Step& step,
                                        const std::function<const std::vector<Token>&(sched::RequestId)>& chain);
    [[nodiscard]] Outcome decode_rows(const sched::Chunk& chunk, const ImageRun& run);
    struct Impl;
    std::unique_ptr<Impl> impl_;
    int threads_ = 1;
};

}  // namespace sutazai::llama
