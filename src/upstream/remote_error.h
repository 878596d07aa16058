#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

/// What another server says when it does not answer, as an error of ours. Pure.
namespace sutazai::upstream {

/// Its words, fit to be shown: valid UTF-8 without control characters, at most some hundred bytes.
[[nodiscard]] std::string plain_words(std::string_view text);

/// {"error": ...} of an event or a body, in the shapes of OpenAI, Ollama, vLLM and FastAPI. Refusals that are the
/// request's fault keep their kind; all else is kUpstreamFailed.
[[nodiscard]] Error error_of(const boost::json::object& said);
/// Does the object tell of an error?
[[nodiscard]] bool tells_error(const boost::json::object& said);

/// Of an answer with another status than 200, whose body may be anything.
[[nodiscard]] Error error_of_answer(unsigned status, std::string_view body, int retry_after_s);

[[nodiscard]] inline std::unexpected<Error> broken(std::string what) {
    return fail(ErrorCode::kUpstreamFailed, std::move(what));
}

}  // namespace sutazai::upstream
