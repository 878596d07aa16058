#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/choice.h"
#include "base/error.h"
#include "base/generation.h"

/// Ollama's API: answers of /api/chat and /api/generate as objects and as lines of a stream (NDJSON). Pure.
namespace sutazai::api::ollama {

using WallTime = std::chrono::system_clock::time_point;

enum class Route : std::uint8_t { kChat, kGenerate };

/// What the server measured of one answer; the rest comes with Finished.
struct Durations {
    std::chrono::nanoseconds load{0};   ///< until the model was warm
    std::chrono::nanoseconds total{0};  ///< from the request to its end
};

/// Writes the lines of one stream: content*, finish. Calls come whole.
class LineEncoder {
  public:
    LineEncoder(Route route, std::string_view model, bool logprobs);

    void content(std::string& out, WallTime now, const Delta& delta, std::span<const TokenScore> scores) const;
    void finish(std::string& out, WallTime now, const Finished& finished, const Durations& durations) const;
    void error(std::string& out, const Error& error) const;

  private:
    Route route_;
    std::string head_;  // up to and with "created_at":"
    bool logprobs_;
};

/// The answer when `stream` is false.
[[nodiscard]] std::string encode_answer(Route route, std::string_view model, WallTime now, const Choice& choice,
                                        const Durations& durations, bool logprobs);

/// The answer to an order: `reason` is "load" or "unload".
[[nodiscard]] std::string encode_order(Route route, std::string_view model, WallTime now, std::string_view reason);

/// {"error": "..."}
[[nodiscard]] std::string encode_error(const Error& error);

}  // namespace sutazai::api::ollama
