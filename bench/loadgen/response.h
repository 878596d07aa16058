#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Reads answers with as little work as will do: the client runs on the processors that it measures.
namespace sutazai::loadgen {

using Clock = std::chrono::steady_clock;

/// What one answer said.
struct Answer {
    std::vector<Clock::time_point> text_at;  ///< when each event with text came
    std::int64_t prompt_tokens = -1;         ///< the three counts are the server's; -1: it sent none
    std::int64_t completion_tokens = -1;
    std::int64_t cached_tokens = -1;
    std::string error;  ///< empty when all went well
};

/// Finds text, usage and errors in a JSON body or in the lines of a stream, by their keys alone.
class AnswerScanner {
  public:
    void feed(std::string_view body, Clock::time_point now);
    /// The body is complete. Call once.
    Answer finish(Clock::time_point now);

  private:
    void scan_line(std::string_view line, Clock::time_point now);

    Answer answer_;
    std::string rest_;  ///< a line whose end has not come
};

/// An HTTP/1.1 response, piece by piece: content-length or chunked.
class ResponseReader {
  public:
    /// Takes bytes as they came; hands on body bytes to `scanner`. Throws std::runtime_error where the framing is
    /// broken.
    void feed(std::string_view bytes, AnswerScanner& scanner, Clock::time_point now);

    [[nodiscard]] bool complete() const { return state_ == State::kComplete; }
    [[nodiscard]] bool keep_alive() const { return keep_alive_; }
    [[nodiscard]] int status() const { return status_; }

  private:
    enum class State : std::uint8_t { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailer, kComplete };

    void read_head(std::string_view head);
    /// Moves bytes into `line_` up to a line's end; true when one is there (without CR LF).
    bool take_line(std::string_view& bytes);

    State state_ = State::kHead;
    std::string line_;
    std::string head_;
    std::uint64_t left_ = 0;  ///< body or chunk bytes still to come
    int status_ = 0;
    bool keep_alive_ = true;
};

}  // namespace sutazai::loadgen
