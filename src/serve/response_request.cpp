#include "serve/response_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <chrono>
#include <cstdint>
#include <random>
#include <utility>
#include <variant>

#include "api/image_fields.h"

namespace sutazai::serve {

namespace asio = boost::asio;
namespace json = boost::json;
using api::responses::Item;
using responses::Record;
using responses::ResponseStore;

namespace {

/// Of all texts that a conversation goes on from.
constexpr std::uint64_t kMostConversationBytes = 64 << 20;

std::string new_id() {
    std::random_device random;
    const auto word = [&] { return (std::uint64_t{random()} << 32U) | random(); };
    const std::uint64_t high = word();
    return fmt::format("resp_{:016x}{:016x}", high, word());
}

/// The JSON that was stored, or null.
json::value stored_json(const std::string& text) {
    json::error_code failure;
    json::value value = json::parse(text, failure);
    return failure ? json::value() : value;
}

Result<Item> resolve(ResponseStore& store, std::string_view tenant, const Item& reference, std::size_t place,
                     std::int64_t now) {
    const std::string id = api::responses::response_of(reference.id);
    if (!id.empty()) {
        auto record = store.find(tenant, id, now);
        if (!record) return std::unexpected(std::move(record.error()));
        auto items = *record ? items_of(**record, true) : std::vector<Item>{};
        if (!items) return std::unexpected(std::move(items.error()));
        const auto found = std::ranges::find(*items, reference.id, &Item::id);
        if (found != items->end()) return std::move(*found);
    }
    return fail(ErrorCode::kNotFound, "There is no stored item with this id.", fmt::format("input[{}].id", place));
}

Result<std::vector<Item>> earlier_items(ResponseStore& store, std::string_view tenant, const std::string& previous,
                                        std::int64_t now) {
    std::vector<Item> items;
    if (previous.empty()) return items;
    const auto chain = store.chain(tenant, previous, kMostConversationBytes, now);
    if (!chain) return std::unexpected(chain.error());
    for (const Record& record : *chain) {
        if (record.open) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("The response {} has not ended yet.", record.id),
                        "previous_response_id");
        }
        auto more = items_of(record, true);
        if (!more) return std::unexpected(std::move(more.error()));
        std::ranges::move(*more, std::back_inserter(items));
    }
    return items;
}

Result<void> fill(ResponseRequest& request, const std::vector<Item>& before) {
    auto messages = api::responses::join(request.asked.instructions, before, request.asked.items);
    if (!messages) return std::unexpected(std::move(messages.error()));
    if (const std::string wrong = api::wrong_with_images(*messages); !wrong.empty()) {
        return fail(ErrorCode::kInvalidArgument, "The messages " + wrong + ".", "input");
    }
    std::get<Chat>(request.asked.generation.prompt).messages = std::move(*messages);
    request.asked.items = {};
    return {};
}

}  // namespace

Result<ResponseRequest> parse_response(std::string_view body) {
    return parse_response(body, new_id());
}

Result<ResponseRequest> parse_response(std::string_view body, std::string id) {
    auto asked = api::responses::parse_create(body);
    if (!asked) return std::unexpected(std::move(asked.error()));
    ResponseRequest request{std::move(*asked), std::move(id), {}, {}};
    api::responses::name_items(request.id, request.asked.items);
    request.input = api::responses::input_json(request.asked.items);
    if (request.asked.background) request.body = body;
    return request;
}

asio::awaitable<Result<ResponseRequest>> converse(ResponseRecords& records, std::string tenant,
                                                  ResponseRequest request) {
    const std::string& previous = request.asked.previous_response_id;
    const bool refers =
        std::ranges::find(request.asked.items, Item::Kind::kReference, &Item::kind) != request.asked.items.end();
    if (previous.empty() && !refers) {
        if (auto filled = fill(request, {}); !filled) co_return std::unexpected(std::move(filled.error()));
        co_return request;
    }
    if (!records.keeps()) {
        co_return fail(ErrorCode::kInvalidArgument, "No responses are kept here (RESPONSES_RETENTION_DAYS=0).",
                       previous.empty() ? "input" : "previous_response_id");
    }
    auto work = [tenant = std::move(tenant), request = std::move(request), refers](
                    ResponseStore& store, std::int64_t now) mutable -> Result<ResponseRequest> {
        auto before = earlier_items(store, tenant, request.asked.previous_response_id, now);
        if (!before) return std::unexpected(std::move(before.error()));
        std::vector<Item>& own = request.asked.items;
        for (std::size_t place = 0; place < own.size(); ++place) {
            if (own[place].kind != Item::Kind::kReference) continue;
            auto item = resolve(store, tenant, own[place], place, now);
            if (!item) return std::unexpected(std::move(item.error()));
            own[place] = std::move(*item);
        }
        if (refers) request.input = api::responses::input_json(own);
        if (auto filled = fill(request, *before); !filled) return std::unexpected(std::move(filled.error()));
        return std::move(request);
    };
    co_return co_await records.run(work);
}

Result<std::vector<Item>> items_of(const Record& record, bool with_output) {
    const json::value input = stored_json(record.input);
    if (!input.is_array()) return fail(ErrorCode::kInternal, "a stored response cannot be read");
    auto items = api::responses::parse_stored(input.get_array());
    if (!items || !with_output) return items;
    const json::value body = stored_json(record.body);
    const json::value* output = body.is_object() ? body.get_object().if_contains("output") : nullptr;
    if (output == nullptr || !output->is_array()) {
        return fail(ErrorCode::kInternal, "a stored response cannot be read");
    }
    auto more = api::responses::parse_stored(output->get_array());
    if (!more) return more;
    std::ranges::move(*more, std::back_inserter(*items));
    return items;
}

api::responses::AnswerHead head_of(const ResponseRequest& request, std::string model) {
    using std::chrono::system_clock;
    return {.id = request.id,
            .created_unix_s = system_clock::to_time_t(system_clock::now()),
            .model = std::move(model),
            .background = request.asked.background,
            .carries_thoughts = request.asked.carries_thoughts,
            .echo = request.asked.echo};
}

}  // namespace sutazai::serve
