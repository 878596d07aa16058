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

/// What an answer may come to: it is kept here until it is whole when whoever asked takes it in one piece.
struct AnswerBounds {
    std::size_t text_bytes = 8 << 20;  ///< of text, thoughts and calls
    std::size_t score_bytes = 0;       ///< of log probabilities; 0: none were asked for, and what comes is dropped

    bool operator==(const AnswerBounds&) const = default;
};
/// For `max_tokens`, 256 bytes a token, 64 KiB at least and 8 MiB at most, which is what there is without a number;
/// more by the prompt where that is to come back.
[[nodiscard]] AnswerBounds bounds_of(const GenerationRequest& request);

/// Reads one streamed answer as it comes.
class AnswerReader {
  public:
    /// `form`: not one of vectors.
    explicit AnswerReader(AnswerForm form, AnswerBounds bounds) : form_(form), bounds_(bounds) {}

    /// Adds what these bytes bring to `out`. Errors are of error_of(), or kUpstreamFailed for what is no answer or
    /// past the bounds; there is nothing to be read after one, nor after `out.finished`.
    [[nodiscard]] Result<void> take(std::string_view bytes, GenerationUpdate& out);
    /// The body has ended properly. kUpstreamFailed when the answer has not.
    [[nodiscard]] Result<void> end(GenerationUpdate& out);

  private:
    [[nodiscard]] Result<void> take_line(std::string_view line, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_event(std::string_view text, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_chunk(const boost::json::object& chunk, GenerationUpdate& out);
    [[nodiscard]] Result<void> take_ollama(const boost::json::object& line, GenerationUpdate& out);
    [[nodiscard]] Result<void> count(GenerationUpdate& out, std::size_t bytes_before, std::size_t scores_before);
    void finish(GenerationUpdate& out);

    AnswerForm form_;
    AnswerBounds bounds_;
    std::size_t text_bytes_ = 0;
    std::size_t score_bytes_ = 0;
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
