#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "batches/records.h"
#include "serve/caller.h"
#include "serve/context.h"
#include "serve/responses.h"

namespace sutazai::batches {

/// Where a line of an input file is.
struct LinePlace {
    std::filesystem::path file;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

/// Reads a line and does what its body asks for, behind all that others wait for: the answer's JSON. An error is what
/// the endpoint would have answered, or kUnavailable when the line cannot be read. Cancelling the awaiting coroutine
/// cancels the answer.
[[nodiscard]] boost::asio::awaitable<Result<std::string>> answer_line(serve::Context& context,
                                                                      serve::Responses& responses, serve::Caller caller,
                                                                      BatchEndpoint endpoint, LinePlace place);

}  // namespace sutazai::batches
