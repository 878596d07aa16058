#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <span>
#include <utility>

#include "api/anthropic_events.h"
#include "serve/formats.h"

namespace sutazai::serve {

namespace {

std::string new_message_id() {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    return fmt::format("msg_{:016x}{:08x}", random(), random() & 0xffffffffU);
}

class MessagesFormat final : public AnswerFormat {
  public:
    explicit MessagesFormat(api::anthropic::Telling telling) : telling_(std::move(telling)), encoder_(telling_) {}

    void start(std::string& out) override { encoder_.start(out); }

    void update(std::string& out, std::size_t /*index*/, const GenerationUpdate& update) override {
        if (!update.delta.empty()) encoder_.content(out, update.delta);
        if (update.error) encoder_.error(out, *update.error);
        if (update.finished) encoder_.finish(out, *update.finished);
    }

    std::string answer(std::span<const api::Choice> choices) override {
        return api::anthropic::encode_message(telling_, choices.front());
    }

    Error explain(Error error, std::size_t /*index*/) override {
        if (error.field != "response_format") return error;
        if (error.message.starts_with(error.field)) error.message.replace(0, error.field.size(), kFormat);
        error.field = kFormat;
        return error;
    }

  private:
    static constexpr const char* kFormat = "output_config.format";

    api::anthropic::Telling telling_;
    api::anthropic::EventEncoder encoder_;
};

}  // namespace

AnswerRequest anthropic_messages(api::anthropic::MessagesRequest request, const config::Settings& settings,
                                 std::string request_id) {
    GenerationRequest& generation = request.generation;
    api::anthropic::Telling telling{.id = new_message_id(), .model = {}, .request_id = std::move(request_id)};
    telling.stops = generation.stop;
    telling.max_tokens = generation.max_tokens;
    if (settings.max_tokens_limit > 0) {
        const auto limit = static_cast<std::int64_t>(settings.max_tokens_limit);
        telling.max_tokens = static_cast<int>(std::min<std::int64_t>(telling.max_tokens, limit));
    }
    telling.counts_creation = request.marks_cache && settings.prefix_sharing;
    telling.hides_thoughts = request.hides_thoughts;
    telling.writes_nothing = request.writes_nothing;
    AnswerRequest answer{std::move(request.model), request.stream, {}, request.keep_alive, {}};
    answer.make_format = [made = std::move(telling)](std::string model) mutable {
        made.model = std::move(model);
        return std::make_unique<MessagesFormat>(std::move(made));
    };
    answer.generations.push_back(std::move(generation));
    return answer;
}

}  // namespace sutazai::serve
