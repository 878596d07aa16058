#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "api/response_events.h"
#include "base/error.h"
#include "serve/answer.h"
#include "serve/caller.h"
#include "serve/context.h"
#include "serve/event_sink.h"
#include "serve/response_records.h"
#include "serve/response_request.h"

/// Answers of the Responses API that somebody waits for.
namespace sutazai::serve {

/// What its format tells of an answer, and who keeps it afterwards: one after the other, for what is large is encoded
/// on the pool, which goes on when whoever waited has gone.
struct ResponseEvents {
    explicit ResponseEvents(api::responses::AnswerHead head) : events(std::move(head)) {}

    std::mutex mutex;
    api::responses::AnswerEvents events;
};

/// The request as one answer. Its format tells `events` of everything, and leaves the last events to be told.
[[nodiscard]] AnswerRequest response_answer(ResponseRequest request, std::shared_ptr<ResponseEvents> events);

/// Runs a conversation (converse()) to its end and tells `sink`. It is stored, if it is to be, before its last event is
/// told, so that whoever has read that can go on from it; one that breaks off, because of an error or because the
/// client has gone, is stored as such. As stream_answer() in all else.
[[nodiscard]] boost::asio::awaitable<Result<void>> stream_response(Context& context, ResponseRecords& records,
                                                                   Caller caller, ResponseRequest request,
                                                                   EventSink& sink);

/// The same in one piece: the response object.
[[nodiscard]] boost::asio::awaitable<Result<std::string>> whole_response(Context& context, ResponseRecords& records,
                                                                         Caller caller, ResponseRequest request);

}  // namespace sutazai::serve
