#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/choice.h"
#include "base/error.h"
#include "base/generation.h"

/// Answers of the Responses API: the object, and the Server-Sent Events that tell how it comes to be. Pure.
namespace sutazai::api::responses {

/// What is known of an answer before it begins.
struct AnswerHead {
    std::string id;  ///< "resp_..."
    std::int64_t created_unix_s = 0;
    std::string model = {};  ///< empty: not known yet
    bool background = false;
    bool carries_thoughts = false;  ///< items of thoughts have encrypted_content, too
    boost::json::object echo = {};  ///< CreateRequest::echo
};

enum class Status : std::uint8_t { kQueued, kInProgress, kCompleted, kIncomplete, kFailed, kCancelled };
[[nodiscard]] const char* to_string(Status status);
[[nodiscard]] constexpr bool is_open(Status status) {
    return status == Status::kQueued || status == Status::kInProgress;
}

/// One answer as it grows. Each text is escaped once and kept so: a delta costs about what it costs in a chat, and the
/// end of an item no more than copying it.
///
/// As a stream: start(), update()*, end(). The last events are end()'s, so that what is in them can be settled after
/// the answer has ended: whether it is stored. Without a stream: set() and object().
class AnswerEvents {
  public:
    explicit AnswerEvents(AnswerHead head);

    void begin_with(std::string model) { head_.model = std::move(model); }

    void queue(std::string& out);  ///< of a background answer, as long as it has not begun: created, queued
    void start(std::string& out);  ///< created, where that has not been told, and in_progress
    /// All that the update holds. Its end closes the item that is open.
    void update(std::string& out, const GenerationUpdate& update);
    /// Somebody ends it before it ends by itself: kCancelled, or kFailed for `error`.
    void cut(std::string& out, Status status, std::optional<Error> error = {});
    void end(std::string& out);  ///< completed, incomplete or failed, the last with an error before it

    /// All of an answer at once.
    void set(const Choice& choice);

    [[nodiscard]] std::string object() const;  ///< as it is now
    [[nodiscard]] Status status() const { return status_; }
    [[nodiscard]] const AnswerHead& head() const { return head_; }

    bool stored = false;                ///< `store` of the object
    std::int64_t completed_unix_s = 0;  ///< of one that has ended well

  private:
    enum class Open : std::uint8_t { kNothing, kReasoning, kMessage, kCall };

    void event(std::string& out, std::string_view type);
    void state_event(std::string& out, std::string_view type);
    void open(std::string& out, Open what);
    void open_call(std::string& out, const ToolCallDelta& call);
    void close(std::string& out, bool whole);
    void close_part(std::string& out);
    void part(std::string& out, std::string_view text) const;
    void item(std::string& out, std::string_view status) const;
    void delta(std::string& out, std::string_view text, std::span<const TokenScore> scores);
    void finish(std::string& out, const Finished& finished);

    AnswerHead head_;
    std::string echo_;  // members with commas in front
    Status status_ = Status::kQueued;
    std::uint64_t n_events_ = 0;
    std::vector<std::string> items_;  // closed, JSON
    std::optional<Usage> usage_;
    std::optional<Error> error_;
    bool has_answer_ = false;  // a message or a call

    // The item that is open.
    Open open_ = Open::kNothing;
    std::string id_;
    std::string text_;        // escaped
    std::string scores_;      // JSON, without the brackets
    std::string place_;       // "item_id" and "output_index"
    std::string delta_head_;  // up to the sequence number
    std::string delta_tail_;  // from behind it up to the text
    ToolCallDelta call_;
};

/// An error that is no part of an answer: a stream that is given up while the answer goes on.
void append_interruption(std::string& out, std::uint64_t sequence_number, const Error& error);

/// The events of a text that lies behind one another, beginning with number `first`.
[[nodiscard]] std::string_view events_from(std::string_view events, std::uint64_t first);

}  // namespace sutazai::api::responses
