#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/generation.h"

/// The items that a conversation of the Responses API is made of, and the messages that they come to. Pure.
namespace sutazai::api::responses {

inline constexpr std::size_t kMaxItems = 4096;  ///< of one conversation
inline constexpr std::size_t kMaxIdBytes = 256;

/// What `encrypted_content` of thoughts begins with. The text behind it is in the clear: who asks for it keeps no
/// secret from himself, and who sends it back needs nothing of ours.
inline constexpr std::string_view kCarriedThoughts = "sutazai-plain:";

struct Item {
    enum class Kind : std::uint8_t {
        kMessage,
        kReasoning,  ///< `message.reasoning`
        kCall,       ///< `message.tool_calls`, one
        kResult,     ///< of a call
        kReference,  ///< to an item that is stored
    };
    Kind kind = Kind::kMessage;
    std::string id = {};
    ChatMessage message = {};       ///< or the part of one that the item is
    boost::json::object json = {};  ///< as it is stored and listed
};

/// `input`: a string, which is the user's message, or a list of items. What is no item is refused by its name.
void read_input(FieldReader& fields, std::vector<Item>& out);

/// Items that were stored: what input_json() and outputs of answers hold. kInternal when they are none.
[[nodiscard]] Result<std::vector<Item>> parse_stored(const boost::json::array& items);

/// Gives each item without one an id that is made from the response's.
void name_items(std::string_view response_id, std::span<Item> items);

/// "msg_0123..." of the response "resp_0123...": the item's place is its end.
[[nodiscard]] std::string item_id(std::string_view prefix, std::string_view response_id, std::size_t place);

/// Places of answers' items begin here.
inline constexpr std::size_t kFirstOutput = 0x8000;

/// The response that an item with such an id belongs to; empty: the id is none of ours.
[[nodiscard]] std::string response_of(std::string_view item_id);

/// The messages that instructions, what was said before, and `own` items come to: thoughts, words and calls of one turn
/// are one message. kInvalidArgument when there are none, or too many, and for a result of a call that nobody made.
[[nodiscard]] Result<std::vector<ChatMessage>> join(std::string_view instructions, std::span<const Item> before,
                                                    std::span<const Item> own);

}  // namespace sutazai::api::responses
