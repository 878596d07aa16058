#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/collector.h"
#include "llama/testing/test_models.h"

/// What the tests of the engine share: an engine whose answers are collected, and what a prompt's greedy
/// answer is when nobody is beside it.
namespace sutazai::engine {

using llama::load_test_model;
using llama::SideContext;
using llama::test_model;

/// An engine whose updates are collected by request.
class Harness {
  public:
    /// `model` is a preset or the path of a file.
    explicit Harness(const EngineConfig& config = {}, std::uint32_t context_tokens = 4096,
                     const std::string& model = "toy");
    Harness(const Harness&) = delete;
    Harness& operator=(const Harness&) = delete;

    RequestId submit(GenerationRequest request);
    GenerationUpdate wait(RequestId id) { return collector_.wait(id); }
    GenerationUpdate ask(GenerationRequest request) { return wait(submit(std::move(request))); }
    void wait_for_tokens(RequestId id, std::uint32_t n) { collector_.wait_for_tokens(id, n); }
    [[nodiscard]] std::uint32_t tokens_of(RequestId id) { return collector_.tokens_of(id); }
    [[nodiscard]] bool has_ended(RequestId id) { return collector_.has_ended(id); }
    [[nodiscard]] EngineStats stats() { return collector_.stats(); }
    [[nodiscard]] PromptProgress prompt(RequestId id) { return collector_.prompt(id); }
    [[nodiscard]] Engine& engine() { return *engine_; }

  private:
    Collector collector_;
    RequestId last_id_ = 0;
    std::unique_ptr<Engine> engine_;
};

[[nodiscard]] GenerationRequest greedy(std::string prompt, int max_tokens, int top_logprobs = -1);

/// Greedy text of one prompt, computed token by token with nobody beside it, and how clear each choice was.
struct Reference {
    std::string text;
    std::vector<std::size_t> ends;  ///< length of the text after each token
    std::vector<float> margins;     ///< best logit less second best
    std::vector<Token> tokens;      ///< prompt and answer
};
[[nodiscard]] Reference reference(const GenerationRequest& request, int n_tokens, const std::string& preset = "toy");
[[nodiscard]] Reference reference(const std::string& prompt, int n_tokens, const std::string& preset = "toy");

/// The guarantee: the same text, but for choices closer than the rounding of llama.cpp's kernels, which differ with the
/// number of rows (0.01 in these logits). After such a choice the texts may go apart.
void expect_same(const Reference& alone, const std::string& text);

/// About 50 tokens, the last few of which depend on `i`.
[[nodiscard]] std::string story(int i);

}  // namespace sutazai::engine
