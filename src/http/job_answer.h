#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/error.h"
#include "http/exchange.h"
#include "http/services.h"
#include "serve/jobs.h"

namespace sutazai::http {

/// Joins or starts the job of that key and waits for its end; models that it has made or removed are known then.
[[nodiscard]] boost::asio::awaitable<Result<void>> run_job(Services& services, std::string key, serve::Jobs::Work work);

/// The same, and tells the client of it in Ollama's words: a line for what is new, and
/// {"status":"success"} at its end, or an error line; without `stream` only the end. What fails before the first line
/// gets a status that fits. Models that the job has made are in the catalogue before success is told. A client that
/// goes away lets go of the job (serve/jobs.h).
[[nodiscard]] boost::asio::awaitable<Result<void>> send_job(Services& services, Exchange& exchange, std::string key,
                                                            serve::Jobs::Work work, bool stream);

}  // namespace sutazai::http
