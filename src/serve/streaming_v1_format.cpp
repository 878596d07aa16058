#include <span>
#include <string_view>
#include <utility>

#include "api/streaming_v1.h"
#include "serve/formats.h"

namespace sutazai::serve {

namespace {

using api::streaming_v1::Clock;

class StreamingV1Format final : public AnswerFormat {
  public:
    explicit StreamingV1Format(std::string model) : model_(model), encoder_(std::move(model)) {}

    void start(std::string& out) override { encoder_.start(out, Clock::now()); }

    void update(std::string& out, std::size_t /*index*/, const GenerationUpdate& update) override {
        const Delta& delta = update.delta;
        std::string_view text = delta.content;
        if (!delta.reasoning.empty()) encoder_.reasoning(out, delta.reasoning);
        // What is said with calls is said before them.
        const bool more_follows = !delta.tool_calls.empty() || !update.finished;
        if (!text.empty() && more_follows) {
            encoder_.chunk(out, text, false);
            text = {};
        }
        if (!delta.tool_calls.empty()) encoder_.tool_calls(out, delta.tool_calls);
        if (update.error) encoder_.error(out, *update.error);
        if (update.finished) {
            encoder_.chunk(out, text, true);
            encoder_.complete(out, Clock::now(), *update.finished);
        }
    }

    std::string answer(std::span<const api::Choice> choices) override {
        const api::Choice& choice = choices.front();
        return api::streaming_v1::encode_answer(model_, choice.answer, choice.finished, Clock::now());
    }

  private:
    std::string model_;
    api::streaming_v1::EventEncoder encoder_;
};

}  // namespace

AnswerRequest streaming_v1_chat(api::ChatRequest request) {
    AnswerRequest answer{std::move(request.model), request.stream, {}, request.keep_alive, {}};
    answer.generations.push_back(std::move(request.generation));
    answer.make_format = [](std::string model) { return std::make_unique<StreamingV1Format>(std::move(model)); };
    return answer;
}

}  // namespace sutazai::serve
