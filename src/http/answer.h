#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/error.h"
#include "http/exchange.h"
#include "http/services.h"
#include "serve/answer.h"

namespace sutazai::http {

/// Runs an answer and sends it, in one piece or as a stream: Server-Sent Events, of Ollama's family NDJSON. Returns
/// without having sent anything when it failed before its first event, so that the error gets a status that fits.
[[nodiscard]] boost::asio::awaitable<Result<void>> send_answer(Services& services, Exchange& exchange,
                                                               serve::AnswerRequest request);

}  // namespace sutazai::http
