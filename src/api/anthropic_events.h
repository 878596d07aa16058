#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/choice.h"
#include "base/error.h"
#include "base/generation.h"

/// What Anthropic's Messages API says: streams of events, whole messages, errors, lists of models. Pure.
namespace sutazai::api::anthropic {

/// What stays the same over one answer.
struct Telling {
    std::string id;  ///< "msg_..."
    std::string model;
    std::string request_id;               ///< "req_...", for an error in the stream
    std::vector<std::string> stops = {};  ///< stop_sequences of the request
    int max_tokens = -1;                  ///< that the answer may have at most; -1: any
    bool counts_creation = false;         ///< what of the prompt was computed is told as written to the cache
    bool hides_thoughts = false;
    bool writes_nothing = false;
};

/// Writes the Server-Sent Events of one stream, appended to `out`: start, content*, then finish or error. The constant
/// head of what a block's deltas begin with is made once a block.
class EventEncoder {
  public:
    explicit EventEncoder(Telling telling) : telling_(std::move(telling)) {}

    void start(std::string& out) const;  ///< message_start and a ping
    void content(std::string& out, const Delta& delta);
    void finish(std::string& out, const Finished& finished);  ///< to message_stop
    void error(std::string& out, const Error& error) const;

  private:
    enum class Block : std::uint8_t { kNone, kThinking, kText, kToolUse };

    void begin(std::string& out, Block block, std::string_view content, std::string_view delta);
    void end(std::string& out);
    void append(std::string& out, std::string_view text) const;
    void think(std::string& out, const std::string& thoughts);
    void call(std::string& out, const ToolCallDelta& delta);

    Telling telling_;
    Block block_ = Block::kNone;
    std::size_t n_blocks_ = 0;  // that have begun
    std::uint32_t call_ = 0;    // of kToolUse
    std::string head_;          // of a delta of this block, up to its text
    std::string thoughts_;      // that are hidden
};

/// The message, when `stream` is false. A call that was cut off is left out: it cannot be carried out.
[[nodiscard]] std::string encode_message(const Telling& telling, const Choice& choice);

/// {"input_tokens": n}
[[nodiscard]] std::string encode_count(std::size_t n_tokens);

/// {"type": "error", "error": {"type", "message"}, "request_id"}
[[nodiscard]] std::string encode_error(const Error& error, std::string_view request_id);

struct ModelCard {
    std::string id;
    std::int64_t created_unix_s = 0;
};
[[nodiscard]] std::string encode_model(const ModelCard& card);

/// A page of a list, and whether there is more of it the way that one goes.
struct ModelPage {
    std::span<const ModelCard> cards;
    bool has_more = false;
};
[[nodiscard]] std::string encode_models(const ModelPage& page);

/// The page behind `after` or before `before`, names that may be empty, of at most `limit`. kInvalidArgument for a
/// name that is not there.
[[nodiscard]] Result<ModelPage> page_of(std::span<const ModelCard> all, std::string_view after, std::string_view before,
                                        std::size_t limit);

}  // namespace sutazai::api::anthropic
