#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/generation.h"
#include "upstream/outgoing.h"

/// What another server answers, as our updates. What comes is not trusted: lines and events are bounded, and what is no
/// JSON, no UTF-8 or no answer is an error. Pure.
namespace sutazai::upstream {

/// Of one line or event. A token with its alternatives takes a few KB.
inline constexpr std::size_t kMostLineBytes = 1 << 20;

/// Reads one streamed answer as it comes.
class AnswerReader {
  public:
    /// `form`: not one of vectors.
    explicit AnswerReader(AnswerForm form) : form_(form) {}

    /// Adds what these bytes bring to `out`. Errors are of error_of(), or kUpstreamFailed for what is no answer; there
    /// is nothing to be read after one, nor after `out.finished`.
    [[nodiscard]] Result<void> take(std::string_view bytes, GenerationUpdate& out);
    /// The body has ended properly. kUpstreamFailed when the answer has not.
    [[nodiscard]] Result<void> end(GenerationUpdate& out);

  private:
    [[nodiscard]] Result<void> take_line(std::string_view line, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_event(std::string_view text, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_chunk(const boost::json::object& chunk, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_ollama(const boost::json::object& line, GenerationUpdate& out);
    void count(GenerationUpdate& out, std::size_t bytes_before, std::size_t scores_before);
    void finish(GenerationUpdate& out);

    AnswerForm form_;
    std::string line_;                  // that has not ended
    std::optional<std::string> event_;  // of Server-Sent Events: its data so far
    std::optional<FinishReason> reason_;
    Usage usage_;
    bool has_usage_ = false;
    std::uint32_t n_tokens_ = 0;  // as far as events tell
    std::uint32_t n_calls_ = 0;   // of Ollama's, which come whole
    bool ended_ = false;
};

/// A whole body of one of the forms of vectors: the vector of the one input, of length 1, and its end.
[[nodiscard]] Result<GenerationUpdate> read_vectors(AnswerForm form, std::string_view body);

}  // namespace sutazai::upstream
