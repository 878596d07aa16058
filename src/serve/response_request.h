#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/response_events.h"
#include "api/responses.h"
#include "base/error.h"
#include "base/generation.h"
#include "serve/answer.h"
#include "serve/response_records.h"

/// What a request of the Responses API comes to.
namespace sutazai::serve {

struct ResponseRequest {
    api::responses::CreateRequest asked;
    std::string id;
    std::string input;  ///< the request's own items, as they are stored
    std::string body;   ///< of a background response: to begin it again with
};

/// Gives it an id. Any thread.
[[nodiscard]] Result<ResponseRequest> parse_response(std::string_view body);
/// The same with the id that it had.
[[nodiscard]] Result<ResponseRequest> parse_response(std::string_view body, std::string id);

/// Puts the conversation into the request's chat: what previous_response_id goes on from, and its own items, references
/// resolved. kNotFound and kInvalidArgument name the field. On the store's thread where something is to be read.
[[nodiscard]] boost::asio::awaitable<Result<ResponseRequest>> converse(ResponseRecords& records, std::string tenant,
                                                                       ResponseRequest request);

/// Items of what was stored, inputs and outputs, the oldest first. kInternal when they cannot be read. Any thread.
[[nodiscard]] Result<std::vector<api::responses::Item>> items_of(const responses::Record& record, bool with_output);

[[nodiscard]] api::responses::AnswerHead head_of(const ResponseRequest& request, std::string model);

}  // namespace sutazai::serve
