#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"
#include "serve/answer_format.h"
#include "serve/caller.h"
#include "serve/context.h"
#include "serve/event_sink.h"

namespace sutazai::serve {

/// One or several generations that make one answer, and how it is told.
struct AnswerRequest {
    std::string model;                           ///< empty: the server's default
    bool stream = false;                         ///< wants stream_answer() rather than whole_answer()
    std::vector<GenerationRequest> generations;  ///< not empty
    std::optional<KeepAlive> keep_alive;
    FormatMaker make_format;
    /// A request needs a context of so many tokens; 0: whatever the model is served with.
    std::uint32_t context_tokens = 0;
    /// Chats go to a model without a template as plain text: what their messages say, one behind the other.
    bool plain_without_template = false;
    bool demands_thinking = false;  ///< a model that does not think is an error
};

/// Runs an answer from lease to last token and tells `sink` of it as it comes. What fails before the first event is
/// returned and leaves the sink untouched; later failures are told as an event as well, and end the answer. Cancelling
/// the awaiting coroutine (the client has gone) cancels all its generations.
[[nodiscard]] boost::asio::awaitable<Result<void>> stream_answer(Context& context, Caller caller, AnswerRequest request,
                                                                 EventSink& sink);

/// The same in one piece: what the format makes of it.
[[nodiscard]] boost::asio::awaitable<Result<std::string>> whole_answer(Context& context, Caller caller,
                                                                       AnswerRequest request);

}  // namespace sutazai::serve
