#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llama/grammar.h"
#include "llama/language_model.h"
#include "llama/quick_sampler.h"

/// A model without llama.cpp, for tests of the engine's threads: quick, and strict about how it is used.
namespace sutazai::engine {

using sched::Token;

/// Its tokens are bytes and kEnd. What comes next depends on the whole token sequence, on which adapters each token was
/// computed with, and on nothing else, so that an answer shows whether forks, states in host memory and artifacts were
/// put together rightly. An adapter's path is its number, 1 to 9; sets that differ in a scale are two. What the engine
/// does wrong with the KV memory is noted.
class FakeModel final : public llama::LanguageModel {
  public:
    static constexpr Token kEnd = 256;
    static constexpr int kVocabulary = 257;

    struct Shape {
        int kv_cells = 4096;
        int slots = 16;
        int context = 2048;
    };
    /// What it does to be watched, none of it by itself.
    struct Faults {
        char throws_at = '\0';           ///< a step that computes this byte throws
        char hangs_at = '\0';            ///< stays in the step, without asking the abort check, until `let_go`
        char toils_at = '\0';            ///< stays in the step as well, and asks it all the time
        char unreadable = '\0';          ///< tokenising a text with it throws
        std::atomic<bool> stays{false};  ///< it does so now
        std::atomic<bool> let_go{false};
    };
    explicit FakeModel(const Shape& shape, Faults* faults = nullptr);

    /// The text that follows `prompt`, and no end.
    [[nodiscard]] static std::string answer(const std::string& prompt, int n_tokens,
                                            std::span<const AdapterChoice> adapters = {});
    /// What the engine did wrong; empty: nothing. Once the engine has ended.
    [[nodiscard]] static std::vector<std::string>& wrongs();

    [[nodiscard]] Result<std::vector<Token>> tokenize(const GenerationRequest& request, std::size_t most_tokens,
                                                      const llama::CancelCheck& cancelled,
                                                      llama::PromptImages* images) const override;
    [[nodiscard]] std::unique_ptr<llama::Sampler> sampler(const SamplingParams& params) const override {
        return std::make_unique<llama::QuickSampler>(params);
    }
    [[nodiscard]] Result<std::string> chat_text(const GenerationRequest& /*request*/,
                                                const llama::CancelCheck& /*cancelled*/) const override {
        return fail(ErrorCode::kInvalidArgument, "this model has no chats", "messages");
    }
    [[nodiscard]] bool names_hidden_token(std::string_view) const override { return false; }
    [[nodiscard]] bool file_intact() const override { return true; }
    [[nodiscard]] const grammar::TokenTrie& texts() const override { return texts_; }
    [[nodiscard]] std::optional<Token> token_named(std::string_view) const override { return std::nullopt; }
    void append_piece(Token token, std::string& out) const override;
    [[nodiscard]] bool ends_generation(Token token) const override { return token == kEnd; }
    [[nodiscard]] std::string piece(Token token) const override;
    [[nodiscard]] std::unique_ptr<llama::SideContext> beside(llama::SideContext::Kind kind) const override;
    void apply(const sched::KvOp& op) override;
    [[nodiscard]] Result<llama::KvState> save(sched::SlotId slot, int first, int n_tokens) override;
    [[nodiscard]] float* logits_after(sched::SlotId slot, int n_tokens, Token last) override;
    [[nodiscard]] float* logits_after(sched::SlotId slot, int begin, int n_tokens, const llama::KvState& state,
                                      Token last) override;
    [[nodiscard]] bool load(sched::SlotId slot, int begin, int first, int n_tokens,
                            const llama::KvState& state) override;
    [[nodiscard]] Outcome decode(const sched::Step& step,
                                 const std::function<const std::vector<Token>&(sched::RequestId)>& sequence) override;
    [[nodiscard]] float* logits(std::size_t chunk) const override;
    [[nodiscard]] Result<std::shared_ptr<const llama::AdapterSet>> open_adapters(
        std::span<const AdapterChoice> wanted) const override;

  private:
    [[nodiscard]] std::vector<Token>& slot(sched::SlotId id) { return slots_.at(static_cast<std::size_t>(id)); }
    void expect(bool right, const char* what) const;

    Faults* faults_;
    grammar::TokenTrie texts_;
    std::vector<std::vector<Token>> slots_;  ///< what each holds: tokens, marked with the adapters that made their KV
    mutable std::vector<std::vector<float>> rows_;
    std::vector<float> row_after_;
};

}  // namespace sutazai::engine
