#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
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
    ~Harness() { engine_.reset(); }
    Harness(const Harness&) = delete;
    Harness& operator=(const Harness&) = delete;

    RequestId submit(GenerationRequest request);
    /// Waits for the end of a request; the whole text and scores, and the end.
    GenerationUpdate wait(RequestId id);
    GenerationUpdate ask(GenerationRequest request) { return wait(submit(std::move(request))); }
    void wait_for_tokens(RequestId id, std::uint32_t n);
    [[nodiscard]] std::uint32_t tokens_of(RequestId id);
    [[nodiscard]] bool has_ended(RequestId id);
    [[nodiscard]] EngineStats stats();
    [[nodiscard]] Engine& engine() { return *engine_; }

  private:
    void take(StepReport report);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<RequestId, GenerationUpdate> results_;
    EngineStats stats_;
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
