#include <chrono>
#include <iterator>
#include <span>
#include <utility>

#include "serve/formats.h"

namespace sutazai::serve {

namespace {

using api::ollama::Durations;
using api::ollama::Route;
using SteadyClock = std::chrono::steady_clock;
using WallClock = std::chrono::system_clock;

class OllamaFormat final : public AnswerFormat {
  public:
    /// Made when the model is warm.
    OllamaFormat(Route route, std::string model, bool logprobs, SteadyClock::time_point arrived)
        : route_(route),
          model_(std::move(model)),
          logprobs_(logprobs),
          arrived_(arrived),
          load_(SteadyClock::now() - arrived),
          encoder_(route, model_, logprobs) {}

    void start(std::string& /*out*/) override {}

    void update(std::string& out, std::size_t /*index*/, const GenerationUpdate& update) override {
        const auto now = WallClock::now();
        Delta delta = with_whole_calls(update);
        if (!delta.empty() || !update.scores.empty()) encoder_.content(out, now, delta, update.scores);
        if (update.error) encoder_.error(out, *update.error);
        if (update.finished) encoder_.finish(out, now, *update.finished, durations());
    }

    std::string answer(std::span<const api::Choice> choices) override {
        return api::ollama::encode_answer(route_, model_, WallClock::now(), choices.front(), durations(), logprobs_);
    }

  private:
    /// A call is told once all of it is there: with the next one's beginning, or the end.
    Delta with_whole_calls(const GenerationUpdate& update) {
        Delta delta = update.delta;
        if (delta.tool_calls.empty() && calls_.tool_calls.empty()) return delta;
        calls_.append({.tool_calls = std::exchange(delta.tool_calls, {})});
        const std::size_t n_open = update.finished || calls_.tool_calls.empty() ? 0 : 1;
        const auto open = calls_.tool_calls.end() - static_cast<std::ptrdiff_t>(n_open);
        delta.tool_calls.assign(std::make_move_iterator(calls_.tool_calls.begin()), std::make_move_iterator(open));
        calls_.tool_calls.erase(calls_.tool_calls.begin(), open);
        return delta;
    }

    [[nodiscard]] Durations durations() const { return {load_, SteadyClock::now() - arrived_}; }

    Route route_;
    std::string model_;
    bool logprobs_;
    SteadyClock::time_point arrived_;
    SteadyClock::duration load_;
    api::ollama::LineEncoder encoder_;
    Delta calls_;  ///< one that has begun
};

}  // namespace

AnswerRequest ollama_answer(Route route, api::ollama::AnswerBody body) {
    AnswerRequest answer{std::move(body.model), body.stream, {}, body.keep_alive, {}};
    answer.context_tokens = static_cast<std::uint32_t>(body.context_tokens);
    answer.plain_without_template = body.plain_without_template;
    answer.demands_thinking = body.demands_thinking;
    const bool logprobs = body.generation.top_logprobs >= 0;
    answer.make_format = [route, logprobs, arrived = SteadyClock::now()](std::string model) {
        return std::make_unique<OllamaFormat>(route, std::move(model), logprobs, arrived);
    };
    answer.generations.push_back(std::move(body.generation));
    return answer;
}

}  // namespace sutazai::serve
