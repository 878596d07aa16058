#include "batches/line_answer.h"

#include <span>
#include <utility>
#include <variant>

#include "api/openai.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "base/files.h"
#include "ipc/run_blocking.h"
#include "serve/embeddings.h"
#include "serve/formats.h"
#include "serve/response_request.h"

namespace sutazai::batches {

namespace asio = boost::asio;

namespace {

/// The lowest there is: whatever others ask for goes first, until a line has waited for a quarter of an hour.
constexpr int kPriority = 1000;

using Asked = std::variant<serve::AnswerRequest, api::openai::EmbeddingsRequest, serve::ResponseRequest>;

Result<std::string> read_line(const LinePlace& place) {
    const auto file = open_file(place.file);
    if (!file) return fail(ErrorCode::kUnavailable, "The batch's input file cannot be read.");
    std::string line(place.bytes, '\0');
    if (!read_at(*file, place.offset, std::as_writable_bytes(std::span(line)))) {
        return fail(ErrorCode::kUnavailable, "The batch's input file cannot be read.");
    }
    return line;
}

std::unexpected<Error> not_in_a_batch(const std::string& field) {
    return fail(ErrorCode::kInvalidArgument, field + " does not go with a batch", field);
}

Result<Asked> behind_others(serve::AnswerRequest request) {
    if (request.stream) return not_in_a_batch("stream");
    for (GenerationRequest& generation : request.generations) generation.priority = kPriority;
    return request;
}

/// On the pool: schemas are compiled, long prompts copied.
Result<Asked> read_request(const LinePlace& place, BatchEndpoint endpoint, std::size_t most_generations) {
    const auto line = read_line(place);
    if (!line) return std::unexpected(line.error());
    const auto body = api::openai::body_of_line(*line);
    if (!body) return std::unexpected(body.error());
    switch (endpoint) {
        case BatchEndpoint::kChat: {
            auto request = api::openai::parse_chat(*body);
            if (!request) return std::unexpected(std::move(request.error()));
            return behind_others(serve::openai_chat(std::move(*request)));
        }
        case BatchEndpoint::kCompletions: {
            auto request = api::openai::parse_completion(*body, most_generations);
            if (!request) return std::unexpected(std::move(request.error()));
            return behind_others(serve::openai_completion(std::move(*request)));
        }
        case BatchEndpoint::kEmbeddings: {
            auto request = api::openai::parse_embeddings(*body, most_generations);
            if (!request) return std::unexpected(std::move(request.error()));
            request->priority = kPriority;
            return std::move(*request);
        }
        case BatchEndpoint::kResponses: {
            auto request = serve::parse_response(*body);
            if (!request) return std::unexpected(std::move(request.error()));
            if (request->asked.stream) return not_in_a_batch("stream");
            if (request->asked.background) return not_in_a_batch("background");
            request->asked.generation.priority = kPriority;
            return std::move(*request);
        }
    }
    return fail(ErrorCode::kInternal, "an endpoint without a parser");
}

}  // namespace

asio::awaitable<Result<std::string>> answer_line(serve::Context& context, serve::Responses& responses,
                                                 serve::Caller caller, BatchEndpoint endpoint, LinePlace place) {
    auto read = [place = std::move(place), endpoint, most = std::size_t{context.settings.max_batch_requests}] {
        return read_request(place, endpoint, most);
    };
    Result<Asked> asked = co_await ipc::run_blocking(context.pool, read);
    if (!asked) co_return std::unexpected(std::move(asked.error()));
    if (auto* embeddings = std::get_if<api::openai::EmbeddingsRequest>(&*asked)) {
        co_return co_await serve::openai_embeddings(context, std::move(caller), std::move(*embeddings));
    }
    if (auto* response = std::get_if<serve::ResponseRequest>(&*asked)) {
        co_return co_await responses.create(std::move(caller), std::move(*response));
    }
    co_return co_await serve::whole_answer(context, std::move(caller),
                                           std::move(std::get<serve::AnswerRequest>(*asked)));
}

}  // namespace sutazai::batches
