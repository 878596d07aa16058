#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

/// What another server says when it does not answer, as an error of ours. Pure.
namespace sutazai::upstream {

/// The error with nothing in it that must not be shown: `key` stands nowhere in it (empty: there is none), and its
/// words are valid UTF-8 without control characters, at most some hundred bytes.
[[nodiscard]] Error fit_to_show(Error error, std::string_view key);

/// {"error": ...} of an event or a body, in the shapes of OpenAI, Ollama, vLLM and FastAPI. Refusals that are the
/// request's fault keep their kind; all else is kUpstreamFailed. Its words are as they came, for fit_to_show().
[[nodiscard]] Error error_of(const boost::json::object& said);
/// Does the object tell of an error?
[[nodiscard]] bool tells_error(const boost::json::object& said);

/// Of an answer with another status than 200, whose body may be anything; likewise. `server` names it where it refuses
/// without a word.
[[nodiscard]] Error error_of_answer(unsigned status, std::string_view body, int retry_after_s, std::string_view server);

[[nodiscard]] inline std::unexpected<Error> broken(std::string what) {
    return fail(ErrorCode::kUpstreamFailed, std::move(what));
}

}  // namespace sutazai::upstream
