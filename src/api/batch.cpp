#include "api/batch.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <tuple>

#include "api/answer_parts.h"
#include "api/chat_fields.h"
#include "api/error_names.h"
#include "api/json.h"
#include "api/tool_fields.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::batch {

namespace json = boost::json;

namespace {

Result<GenerationRequest> read_item(const json::value& entry, std::size_t index, const ChatRequest& defaults) {
    std::optional<Error> error;
    const std::string name = fmt::format("requests[{}]", index);
    if (!entry.is_object()) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} must be an object (got {})", name, kind_of(entry)),
                    name);
    }
    FieldReader fields(entry.get_object(), error, name + ".");
    ChatRequest item = defaults;
    item.model.clear();
    read_generation_fields(fields, item);
    const bool has_prompt = fields.find("prompt") != nullptr;
    const bool has_messages = fields.find("messages") != nullptr;
    if (has_prompt && has_messages) {
        fields.refuse("prompt", "and messages exclude each other");
    } else if (has_messages) {
        item.generation.prompt = read_chat(fields);
    } else if (has_prompt) {
        std::string prompt;
        fields.string("prompt", prompt);
        if (prompt.empty()) fields.refuse("prompt", "must not be empty");
        item.generation.prompt = std::move(prompt);
    } else {
        fields.refuse("prompt", "or messages is missing");
    }
    if (!item.model.empty() && item.model != defaults.model) {
        fields.refuse("model", "must be the batch's, or be left out");
    }
    if (item.keep_alive != defaults.keep_alive) fields.refuse("keep_alive", "must be the batch's, or be left out");
    if (item.stream) fields.refuse("stream", "does not go with a batch");
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    return std::move(item.generation);
}

/// Equal beginnings of chats give equal beginnings of keys. A prompt counts as a user's message.
std::string key_of(const GenerationRequest& request) {
    std::string key;
    const auto add = [&key](std::string_view role, std::string_view content) {
        key += role;
        key += '\0';
        key += content;
        key += '\0';
    };
    if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
        for (const ChatMessage& message : chat->messages) {
            for (const ContentPart& part : message.content) {
                add(to_string(message.role), part.image == nullptr ? part.text : to_hex(part.image->digest));
            }
        }
    } else if (const auto* text = std::get_if<std::string>(&request.prompt)) {
        add("user", *text);
    }
    return key;
}

json::object result_json(std::size_t index, const Result<Choice>& result) {
    json::object out{{"request_index", index}, {"success", result.has_value()}};
    if (result) {
        out["response"] = result->answer.content;
        if (!result->answer.reasoning.empty()) out["reasoning"] = result->answer.reasoning;
        if (!result->answer.tool_calls.empty()) out["tool_calls"] = tool_calls_json(result->answer);
        out["finish_reason"] = to_string(result->finished.reason);
        out["usage"] = usage_json(result->finished.usage);
    } else {
        const Error& error = result.error();
        out["error"] = {{"message", error.message}, {"code", code_name(error.code)}, {"field", or_null(error.field)}};
    }
    return out;
}

}  // namespace

Result<BatchRequest> parse(std::string_view body, std::size_t max_requests) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    ChatRequest defaults;
    read_generation_fields(fields, defaults);
    if (defaults.stream) fields.refuse("stream", "does not go with a batch");
    BatchRequest batch;
    batch.model = defaults.model;
    batch.keep_alive = defaults.keep_alive;
    if (fields.find("batch_size") != nullptr) {
        int size = 1;
        fields.integer("batch_size", 1, kMaxBatchSize, size);
        batch.batch_size = size;
    }
    const json::value* requests = fields.find("requests");
    if (requests == nullptr) {
        fields.refuse("requests", "is missing");
    } else if (!requests->is_array()) {
        fields.refuse("requests", fmt::format("must be an array (got {})", kind_of(*requests)));
    } else if (const auto size = requests->get_array().size(); size == 0 || size > max_requests) {
        fields.refuse("requests",
                      fmt::format("must hold 1 to {} requests (got {}; MAX_BATCH_REQUESTS)", max_requests, size));
    }
    refuse_unsupported(fields);
    if (error) return std::unexpected(std::move(*error));
    batch.items.reserve(requests->get_array().size());
    for (const json::value& entry : requests->get_array()) {
        batch.items.push_back(read_item(entry, batch.items.size(), defaults));
    }
    return batch;
}

void as_chat(GenerationRequest& request) {
    if (auto* text = std::get_if<std::string>(&request.prompt)) {
        Chat chat{{text_message(Role::kUser, std::move(*text))}};
        request.prompt = std::move(chat);
    }
}

std::vector<std::size_t> sharing_order(std::span<const Result<GenerationRequest>> items) {
    std::vector<std::tuple<int, std::string, std::size_t>> keys;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (items[i]) keys.emplace_back(items[i]->priority, key_of(*items[i]), i);
    }
    std::ranges::sort(keys);
    std::vector<std::size_t> order;
    order.reserve(keys.size());
    for (const auto& key : keys) order.push_back(std::get<std::size_t>(key));
    return order;
}

std::string BatchIds::next(std::chrono::system_clock::time_point now) {
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    if (second > latest_) {
        latest_ = second;
        n_in_second_ = 0;
    }
    ++n_in_second_;
    const std::string id =
        fmt::format("batch_{:%Y%m%d_%H%M%S}", fmt::gmtime(std::chrono::system_clock::to_time_t(latest_)));
    return n_in_second_ == 1 ? id : fmt::format("{}_{}", id, n_in_second_);
}

std::string encode(std::string_view id, std::string_view model, int batch_size,
                   std::span<const Result<Choice>> results) {
    const auto n_good = std::ranges::count_if(results, [](const auto& result) { return result.has_value(); });
    const double rate = results.empty() ? 0 : static_cast<double>(n_good) / static_cast<double>(results.size());
    json::array list;
    std::vector<Usage> usages;
    for (const auto& result : results) {
        list.push_back(result_json(list.size(), result));
        if (result) usages.push_back(result->finished.usage);
    }
    return to_json(json::object{{"batch_id", id},
                                {"model", model},
                                {"total_requests", results.size()},
                                {"batch_size", batch_size},
                                {"success_rate", rate},
                                {"results", std::move(list)},
                                {"usage", usage_json(total_usage(usages, 1))}});
}

}  // namespace sutazai::api::batch
