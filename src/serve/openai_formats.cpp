#include <fmt/format.h>

#include <chrono>
#include <random>
#include <span>
#include <utility>

#include "api/answer_parts.h"
#include "base/json_text.h"
#include "serve/formats.h"

namespace sutazai::serve {

namespace {

api::openai::Identity new_identity(std::string_view prefix, std::string model) {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return {fmt::format("{}-{:016x}", prefix, random()), std::move(model), now};
}

class ChatFormat final : public AnswerFormat {
  public:
    /// `arrived`: when the request was parsed. What passes until this is made is the wait for a warm model.
    ChatFormat(api::openai::Identity identity, std::size_t n, bool include_usage, bool logprobs,
               std::chrono::steady_clock::time_point arrived)
        : identity_(std::move(identity)),
          n_(n),
          logprobs_(logprobs),
          loaded_(std::chrono::steady_clock::now() - arrived),
          encoder_(identity_, include_usage, logprobs) {}

    void start(std::string& out) override {
        for (std::size_t index = 0; index < n_; ++index) encoder_.start(out, index);
    }

    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        if (!update.delta.empty() || !update.scores.empty()) encoder_.content(out, index, update.delta, update.scores);
        if (update.error) api::openai::append_error_event(out, *update.error);
        if (update.finished) encoder_.finish(out, index, update.finished->reason);
        if (update.finished && n_ == 1) timings_ = timings_of(*update.finished);
    }

    void end(std::string& out, std::span<const Usage> usages) override {
        encoder_.end(out, api::total_usage(usages, usages.size()), timings_);
    }

    std::string answer(std::span<const api::Choice> choices) override {
        return api::openai::encode_answer(identity_, choices, logprobs_);
    }

  private:
    [[nodiscard]] boost::json::object timings_of(const Finished& finished) const {
        boost::json::object out = api::timings_json(finished);
        out["load_ms"] = rounded(loaded_.count(), 3);
        out["queue_ms"] = rounded(std::chrono::duration<double, std::milli>(finished.timings.queued).count(), 3);
        return out;
    }

    api::openai::Identity identity_;
    std::size_t n_;
    bool logprobs_;
    std::chrono::duration<double, std::milli> loaded_;
    boost::json::value timings_;
    api::openai::ChunkEncoder encoder_;
};

class CompletionFormat final : public AnswerFormat {
  public:
    /// `request` is the parsed body.
    CompletionFormat(api::openai::Identity identity, api::openai::CompletionRequest request)
        : identity_(std::move(identity)),
          request_(std::move(request)),
          encoder_(identity_, request_.include_usage, request_.logprobs,
                   request_.n_prompts * static_cast<std::size_t>(request_.best_of)) {}

    void start(std::string& /*out*/) override {}

    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        const std::string& text = update.delta.content;
        if (!text.empty() || !update.scores.empty()) encoder_.content(out, index, text, update.scores);
        if (update.error) api::openai::append_error_event(out, *update.error);
        if (update.finished) encoder_.finish(out, index, update.finished->reason);
    }

    void end(std::string& out, std::span<const Usage> usages) override {
        encoder_.end(out, api::total_usage(usages, static_cast<std::size_t>(request_.best_of)));
    }

    std::string answer(std::span<const api::Choice> choices) override {
        return api::openai::encode_completion(identity_, request_, choices);
    }

    Error explain(Error error, std::size_t index) override {
        if (error.field == "prompt" && request_.n_prompts > 1) {
            error.field = fmt::format("prompt[{}]", index / static_cast<std::size_t>(request_.best_of));
        }
        return error;
    }

  private:
    api::openai::Identity identity_;
    api::openai::CompletionRequest request_;
    api::openai::CompletionChunkEncoder encoder_;
};

}  // namespace

AnswerRequest openai_chat(api::openai::OpenAiChatRequest request) {
    AnswerRequest answer{std::move(request.model), request.stream, {}, request.keep_alive, {}};
    const auto n = static_cast<std::size_t>(request.n);
    const bool logprobs = request.generation.top_logprobs >= 0;
    answer.make_format = [n, include_usage = request.include_usage, logprobs,
                          arrived = std::chrono::steady_clock::now()](std::string model) {
        return std::make_unique<ChatFormat>(new_identity("chatcmpl", std::move(model)), n, include_usage, logprobs,
                                            arrived);
    };
    answer.generations.push_back(std::move(request.generation));
    answer.generations.back().n = request.n;
    return answer;
}

AnswerRequest openai_completion(api::openai::CompletionRequest request) {
    AnswerRequest answer{std::move(request.model), request.stream, request.take_generations(), request.keep_alive, {}};
    answer.make_format = [parsed = std::move(request)](std::string model) mutable {
        return std::make_unique<CompletionFormat>(new_identity("cmpl", std::move(model)), std::move(parsed));
    };
    return answer;
}

}  // namespace sutazai::serve
