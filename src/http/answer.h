#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/choice.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"
#include "http/exchange.h"
#include "http/services.h"

namespace sutazai::http {

/// One or several generations that make one answer.
struct AnswerRequest {
    std::string model;  ///< empty: the server's default
    bool stream = false;
    std::vector<GenerationRequest> generations;  ///< not empty
    std::optional<KeepAlive> keep_alive = {};
};

/// How one API family tells of them. Appends to the string it is given. One call at a time, on any thread.
class AnswerFormat {
  public:
    virtual ~AnswerFormat() = default;
    virtual void start(std::string& out) = 0;
    /// Text, end or error of one generation: all that the update holds. Nothing for an update that holds nothing. An
    /// error is the last event of the whole stream.
    virtual void update(std::string& out, std::size_t index, const GenerationUpdate& update) = 0;
    /// All generations have ended well.
    virtual void end(std::string& /*out*/, const std::vector<Usage>& /*usages*/) {}
    /// The whole answer, for requests that do not stream.
    [[nodiscard]] virtual std::string answer(const std::vector<api::Choice>& choices) = 0;
    /// The error of one generation in the words of the request, for example with its number in `field`.
    [[nodiscard]] virtual Error explain(Error error, std::size_t /*index*/) { return error; }
};

/// Made once the model's name in the catalogue is known.
using FormatMaker = std::move_only_function<std::unique_ptr<AnswerFormat>(std::string model)>;

/// A hold on the model of that name, or on the default one. Errors name the field "model".
[[nodiscard]] boost::asio::awaitable<Result<models::Lease>> lease_model(Services& services, const Exchange& exchange,
                                                                        std::string model,
                                                                        std::optional<KeepAlive> keep_alive);

/// What the server adds to every request of an exchange: its tenant, and the cap on max_tokens. kInvalidArgument for a
/// priority that the caller may not have; `path` is put before the field's name.
[[nodiscard]] Result<void> complete_request(const Services& services, const Exchange& exchange,
                                            GenerationRequest& request, std::string_view path = {});

/// How many generations of a list of prompts are in an engine at once: a full batch, and another that waits behind it.
[[nodiscard]] std::size_t generations_at_once(const config::Settings& settings);

/// Runs an answer from lease to last token. A stream that fails before its first event gets the error as its answer,
/// with a status that fits; later failures are events. Cancelling the awaiting coroutine (the client has gone) cancels
/// all its generations.
[[nodiscard]] boost::asio::awaitable<Result<void>> run_answer(Services& services, Exchange& exchange,
                                                              AnswerRequest request, FormatMaker make_format);

}  // namespace sutazai::http
