#include "engine/testing/harness.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/utf8_stream.h"

namespace sutazai::engine {
Harness::Harness(const EngineConfig& config, std::uint32_t context_tokens, const std::string& model_name) {
    llama::LoadOptions options;
    options.path = model_name.ends_with(".gguf") ? model_name : test_model(model_name);
    options.context_tokens = context_tokens;
    options.max_sequences = std::max(config.batch_size, config.batch_size_max);
    options.batch_tokens = config.batch_tokens;
    options.threads = 1;
    options.kv_type = "f32";
    auto model = llama::Model::load(options, [](float) {});
    EXPECT_TRUE(model.has_value()) << model.error().message;
    engine_ = std::make_unique<Engine>(std::move(*model), config,
                                       [this](StepReport report) { collector_.take(std::move(report)); });
}

RequestId Harness::submit(GenerationRequest request) {
    const RequestId id = last_id_ + 1;
    last_id_ += static_cast<RequestId>(request.n);
    engine_->submit(id, std::move(request));
    return id;
}

GenerationRequest greedy(std::string prompt, int max_tokens, int top_logprobs) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.top_logprobs = top_logprobs;
    return request;
}

Reference reference(const std::string& prompt, int n_tokens, const std::string& preset) {
    return reference(greedy(prompt, n_tokens), n_tokens, preset);
}

Reference reference(const GenerationRequest& request, int n_tokens, const std::string& preset) {
    const auto model = load_test_model(preset);
    Reference result;
    std::vector<Token>& sequence = result.tokens;
    sequence = model->tokenize(request).value();
    Utf8Stream characters;
    sched::Step step;
    step.chunks = {{1, 0, 0, static_cast<int>(sequence.size()), true}};
    for (int i = 0; i < n_tokens; ++i) {
        EXPECT_EQ(model->decode(step, [&](RequestId) -> const std::vector<Token>& { return sequence; }),
                  Model::Outcome::kDone);
        const float* logits = model->logits(0);
        std::vector<float> sorted(logits, logits + model->properties().vocabulary);
        const auto best = std::ranges::max_element(sorted) - sorted.begin();
        std::ranges::partial_sort(sorted, sorted.begin() + 2, std::greater<>());
        result.margins.push_back(sorted[0] - sorted[1]);
        sequence.push_back(static_cast<Token>(best));
        std::string piece;
        model->append_piece(sequence.back(), piece);
        characters.append(piece, result.text);
        result.ends.push_back(result.text.size());
        step.chunks = {{1, 0, static_cast<int>(sequence.size()) - 1, 1, true}};
    }
    return result;
}

void expect_same(const Reference& alone, const std::string& text) {
    if (text == alone.text) return;
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(alone.text, text).in1 - alone.text.begin());
    const auto token = static_cast<std::size_t>(std::ranges::upper_bound(alone.ends, at) - alone.ends.begin());
    // A character of several tokens is complete, or proves to be none, only with a later one.
    const std::size_t from = token - std::min<std::size_t>(token, 3);
    ASSERT_LT(token, alone.margins.size());
    const float closest = *std::min_element(alone.margins.begin() + static_cast<std::ptrdiff_t>(from),
                                            alone.margins.begin() + static_cast<std::ptrdiff_t>(token) + 1);
    EXPECT_LT(closest, 0.02F) << "token " << token << "\n" << alone.text << "\n" << text;
}

std::string story(int i) {
    std::string text = "A long story about the sea, told in the harbour by an old sailor who had seen everything. ";
    return text + text + "Part " + std::to_string(i) + ": ";
}

}  // namespace sutazai::engine
