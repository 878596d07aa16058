#include "serve/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <iterator>
#include <memory>
#include <utility>
#include <variant>

#include "serve/admission.h"
#include "serve/heavy.h"
#include "serve/read_all.h"
#include "serve/request_book.h"
#include "serve/stream_writer.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

/// The first event of a stream waits this long for the first update, so that a refusal (queue full, prompt too long)
/// becomes a status rather than an event. A prompt that takes longer to prefill gets its start event meanwhile.
constexpr std::chrono::milliseconds kGrace{20};

/// An answer that has been submitted.
struct Running {
    Running(models::Lease held, AnswerRequest request, std::size_t width)
        : lease(std::move(held)),
          format(request.make_format(lease.model())),
          n(Generations::count(request.generations)),
          generations(lease.generator(), std::move(request.generations), width) {}

    models::Lease lease;
    std::shared_ptr<AnswerFormat> format;  // shared with what encodes on the pool
    std::size_t n;
    Generations generations;
};

void make_plain(GenerationRequest& request) {
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (chat == nullptr || !images_of(*chat).empty()) return;  // images need a template
    std::string text;
    for (const ChatMessage& message : chat->messages) {
        if (!text.empty()) text += "\n\n";
        for (const ContentPart& part : message.content) text += part.text;
    }
    request.prompt = std::move(text);
}

/// What a chat asks of its model and not all can do.
Result<void> check_abilities(const models::Lease& lease, const GenerationRequest& request, bool demands_thinking) {
    const auto* chat = std::get_if<Chat>(&request.prompt);
    // Another server says so itself.
    if (chat == nullptr || lease.is_remote()) return {};
    const ipc::ModelInfo& info = lease.engine().info();
    if (!chat->tools.empty() && !info.knows_tools) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" does not support tools", lease.model()), "tools");
    }
    if (demands_thinking && !info.thinks) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" does not support thinking", lease.model()),
                    "think");
    }
    return {};
}

asio::awaitable<Result<std::unique_ptr<Running>>> submit(Context& context, Caller caller, AnswerRequest request,
                                                         OpenRequest& open) {
    for (GenerationRequest& one : request.generations) {
        log_prompt(context, caller, one);
        if (auto complete = complete_request(caller, one); !complete) {
            co_return std::unexpected(std::move(complete.error()));
        }
    }
    auto lease = co_await lease_model(context, std::move(caller), std::move(request.model), request.keep_alive,
                                      request.context_tokens);
    if (!lease) co_return std::unexpected(std::move(lease.error()));
    open.leased(*lease);
    for (GenerationRequest& one : request.generations) {
        one.context_tokens = request.context_tokens;
        if (auto settled = settle(context, *lease, one); !settled)
            co_return std::unexpected(std::move(settled.error()));
        if (auto can = check_abilities(*lease, one, request.demands_thinking); !can)
            co_return std::unexpected(std::move(can.error()));
    }
    if (request.plain_without_template && !lease->has_chat_template()) {
        for (GenerationRequest& one : request.generations) make_plain(one);
    }
    const std::size_t width = generations_at_once(context.settings);
    co_return std::make_unique<Running>(std::move(*lease), std::move(request), width);
}

/// Keeps everything. The first error is the answer's.
class ChoiceKeeper final : public Listener {
  public:
    explicit ChoiceKeeper(const Running& running) : format_(*running.format), choices_(running.n) {}

    Error explain(Error error, std::size_t index) override { return format_.explain(std::move(error), index); }

    asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool /*last*/) override {
        for (auto& [index, update] : events) {
            if (update.error) co_return std::unexpected(std::move(*update.error));
            api::Choice& choice = choices_.at(index);
            choice.answer.append(std::move(update.delta));
            std::ranges::move(update.scores, std::back_inserter(choice.scores));
            if (update.finished) choice.finished = *update.finished;
        }
        co_return Result<void>{};
    }

    [[nodiscard]] std::vector<api::Choice> choices() && { return std::move(choices_); }

  private:
    AnswerFormat& format_;
    std::vector<api::Choice> choices_;
};

/// Waits for the first events of a stream, and takes none. False: they have not come by the end of the grace.
asio::awaitable<bool> comes_in_time(Generations& generations) {
    using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace): operator||
    asio::steady_timer timer(co_await asio::this_coro::executor, kGrace);
    // ready() rather than next(): an update that arrives together with the time-out must not be lost with the loser.
    co_await (generations.ready() || timer.async_wait(asio::use_awaitable));
    co_return generations.has_events();
}

asio::awaitable<Result<void>> stream_it(Context& context, Caller caller, AnswerRequest request, EventSink& sink,
                                        OpenRequest& open) {
    if (!context.settings.streaming_enabled) {
        co_return fail(ErrorCode::kForbidden,
                       "Streaming is switched off (STREAMING_ENABLED=false); send \"stream\": false.", "stream");
    }
    const auto running = co_await submit(context, std::move(caller), std::move(request), open);
    if (!running) co_return std::unexpected(running.error());
    Generations& generations = (*running)->generations;
    open.listen_to(generations);
    StreamWriter writer(context.pool, (*running)->format, (*running)->n, sink);
    if (!co_await comes_in_time(generations)) {
        if (auto sent = co_await writer.begin(); !sent) co_return sent;
    }
    Result<void> done = co_await read_all(generations, writer, open);
    if (done) done = co_await writer.finish();
    co_return done;
}

asio::awaitable<Result<std::string>> make_whole(Context& context, Caller caller, AnswerRequest request,
                                                OpenRequest& open) {
    const auto running = co_await submit(context, std::move(caller), std::move(request), open);
    if (!running) co_return std::unexpected(running.error());
    open.listen_to((*running)->generations);
    ChoiceKeeper keeper(**running);
    if (auto done = co_await read_all((*running)->generations, keeper, open); !done) {
        co_return std::unexpected(std::move(done.error()));
    }
    std::vector<api::Choice> choices = std::move(keeper).choices();
    std::size_t bytes = 0;
    for (const api::Choice& choice : choices) bytes += choice.answer.text_bytes() + json_bytes(choice.scores);
    auto encode = [format = (*running)->format, all = std::move(choices)] { return format->answer(all); };
    co_return co_await run_by_size(context.pool, bytes, encode);
}

}  // namespace

asio::awaitable<Result<void>> stream_answer(Context& context, Caller caller, AnswerRequest request, EventSink& sink) {
    const Foreground::Hold waited_for(context.foreground, caller);
    OpenRequest open(context.requests, caller, request.model, request.generations.front(),
                     Generations::count(request.generations), true);
    Result<void> done = co_await stream_it(context, std::move(caller), std::move(request), sink, open);
    open.end(done);
    co_return done;
}

asio::awaitable<Result<std::string>> whole_answer(Context& context, Caller caller, AnswerRequest request) {
    const Foreground::Hold waited_for(context.foreground, caller);
    OpenRequest open(context.requests, caller, request.model, request.generations.front(),
                     Generations::count(request.generations));
    Result<std::string> text = co_await make_whole(context, std::move(caller), std::move(request), open);
    open.end(text);
    co_return text;
}

}  // namespace sutazai::serve
