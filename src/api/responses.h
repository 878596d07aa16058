#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/chat_fields.h"
#include "api/response_items.h"
#include "base/error.h"

/// OpenAI's Responses API: its JSON to requests. What answers look like is in response_events.h. Pure.
namespace sutazai::api::responses {

struct CreateRequest : ChatRequest {
    std::vector<Item> items;
    std::string instructions;
    std::string previous_response_id;
    std::optional<bool> store;
    bool background = false;
    bool carries_thoughts = false;  ///< include has reasoning.encrypted_content
    /// The fields of the answer that say what was asked, in their order.
    boost::json::object echo;
};

/// The body of POST /v1/responses, and of its input_tokens. The chat of the generation has tools and thinking, and no
/// messages yet: join() makes them when it is known what was said before. Fields that are not supported are refused by
/// name.
[[nodiscard]] Result<CreateRequest> parse_create(std::string_view body);

/// The items as they are stored: a JSON array.
[[nodiscard]] std::string input_json(std::span<const Item> items);

/// What GET /v1/responses/{id}/input_items asks for.
struct ItemPage {
    std::size_t limit = 20;  ///< 1 to 100
    bool ascending = false;
    std::string after = {};  ///< an item's id; empty: from the beginning
};
/// {"object":"list","data","first_id","last_id","has_more"}. kNotFound when there is no item `after`.
[[nodiscard]] Result<std::string> encode_items(std::span<const Item> items, const ItemPage& page);

[[nodiscard]] std::string encode_deleted(std::string_view id);
[[nodiscard]] std::string encode_count(std::size_t tokens);

}  // namespace sutazai::api::responses
