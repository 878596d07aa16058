#include "api/openai_batches.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/stream_parser.hpp>
#include <utility>

#include "api/answer_parts.h"
#include "api/json.h"
#include "api/openai_files.h"
#include "api/unsupported.h"
#include "base/duration.h"
#include "base/json_text.h"

namespace sutazai::api::openai {

namespace json = boost::json;

namespace {

/// A new endpoint of lines needs a row here and a case in batches/line_answer.cpp.
constexpr std::array kEndpoints{
    std::pair{BatchEndpoint::kChat, std::string_view("/v1/chat/completions")},
    std::pair{BatchEndpoint::kCompletions, std::string_view("/v1/completions")},
    std::pair{BatchEndpoint::kEmbeddings, std::string_view("/v1/embeddings")},
    std::pair{BatchEndpoint::kResponses, std::string_view("/v1/responses")},
};

constexpr std::size_t kMostMetadata = 16;
constexpr std::size_t kMostMetadataKey = 64;
constexpr std::size_t kMostMetadataValue = 512;
constexpr std::int64_t kMostWindowS = 30LL * 86400;

json::value time_or_null(std::int64_t unix_s) {
    return unix_s > 0 ? json::value(unix_s) : json::value();
}

/// Our own JSON, that was kept as text.
json::value kept_json(const std::string& text) {
    if (text.empty()) return nullptr;
    json::error_code failure;
    json::value value = json::parse(text, failure);
    return failure ? json::value() : value;
}

json::object batch_json(const BatchObject& batch) {
    return {{"id", batch.id},
            {"object", "batch"},
            {"endpoint", batch.endpoint},
            {"model", or_null(batch.model)},
            {"errors", kept_json(batch.errors)},
            {"input_file_id", batch.input_file_id},
            {"completion_window", batch.completion_window},
            {"status", to_string(batch.status)},
            {"output_file_id", or_null(batch.output_file_id)},
            {"error_file_id", or_null(batch.error_file_id)},
            {"created_at", batch.created_at},
            {"in_progress_at", time_or_null(batch.in_progress_at)},
            {"expires_at", time_or_null(batch.expires_at)},
            {"finalizing_at", time_or_null(batch.finalizing_at)},
            {"completed_at", time_or_null(batch.completed_at)},
            {"failed_at", time_or_null(batch.failed_at)},
            {"expired_at", time_or_null(batch.expired_at)},
            {"cancelling_at", time_or_null(batch.cancelling_at)},
            {"cancelled_at", time_or_null(batch.cancelled_at)},
            {"request_counts",
             {{"total", batch.counts.total}, {"completed", batch.counts.completed}, {"failed", batch.counts.failed}}},
            {"usage",
             {{"input_tokens", batch.usage.input},
              {"input_tokens_details", {{"cached_tokens", batch.usage.cached}}},
              {"output_tokens", batch.usage.output},
              {"output_tokens_details", {{"reasoning_tokens", batch.usage.reasoning}}},
              {"total_tokens", batch.usage.input + batch.usage.output}}},
            {"metadata", kept_json(batch.metadata)}};
}

void read_metadata(FieldReader& fields, std::string& out) {
    const json::value* metadata = fields.find("metadata");
    if (metadata == nullptr) return;
    if (!metadata->is_object()) {
        return fields.refuse("metadata", fmt::format("must be an object (got {})", kind_of(*metadata)));
    }
    if (metadata->get_object().size() > kMostMetadata) {
        return fields.refuse("metadata", fmt::format("must hold at most {} pairs", kMostMetadata));
    }
    for (const auto& [key, value] : metadata->get_object()) {
        if (key.size() > kMostMetadataKey) {
            return fields.refuse("metadata", fmt::format("has a key of more than {} bytes", kMostMetadataKey));
        }
        if (!value.is_string() || value.get_string().size() > kMostMetadataValue) {
            return fields.refuse("metadata",
                                 fmt::format("must hold texts of at most {} bytes alone", kMostMetadataValue));
        }
    }
    out = to_json(*metadata);
}

void read_window(FieldReader& fields, BatchOrder& order) {
    fields.string("completion_window", order.completion_window);
    if (order.completion_window.empty()) return fields.refuse("completion_window", "is missing");
    const auto window = parse_duration(order.completion_window);
    order.window_s = window ? window->count() / 1000 : 0;
    if (order.window_s < 1 || order.window_s > kMostWindowS) {
        fields.refuse("completion_window", "must be \"24h\", or another time from 1s to 720h");
    }
}

void read_output_expiry(FieldReader& fields, BatchOrder& order) {
    const json::value* expiry = fields.find("output_expires_after");
    if (expiry == nullptr) return;
    if (!expiry->is_object()) {
        return fields.refuse("output_expires_after", fmt::format("must be an object (got {})", kind_of(*expiry)));
    }
    FieldReader inner(expiry->get_object(), fields.error(), "output_expires_after.");
    std::string anchor;
    inner.string("anchor", anchor);
    if (anchor != "created_at") inner.refuse("anchor", "must be \"created_at\"");
    inner.integer("seconds", kLeastExpiryS, kMostExpiryS, order.output_expires_after_s);
    if (order.output_expires_after_s == 0) inner.refuse("seconds", "is missing");
    refuse_unknown(inner);
}

/// Hashes over the first 64, 128, 256 and so on bytes of what is added, and over all of it.
class BeginningHashes {
  public:
    void add(std::string_view text) {
        for (const char c : text) {
            hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
            if (++n_bytes_ == next_ && key_.size() < kMostBytes - kHashBytes) emit();
        }
        add_end();
    }
    [[nodiscard]] std::string key() && {
        if (n_bytes_ > 0) emit();
        return std::move(key_);
    }

  private:
    static constexpr std::size_t kHashBytes = 4;
    static constexpr std::size_t kMostBytes = 12 * kHashBytes;

    void add_end() { hash_ = (hash_ ^ 0xFFU) * 0x100000001b3ULL; }  // no byte of UTF-8
    void emit() {
        const auto folded = static_cast<std::uint32_t>(hash_ ^ (hash_ >> 32));
        for (int shift = 24; shift >= 0; shift -= 8) key_ += static_cast<char>(folded >> shift);
        next_ *= 2;
    }

    std::uint64_t hash_ = 0xcbf29ce484222325ULL;  // FNV-1a
    std::size_t n_bytes_ = 0;
    std::size_t next_ = 64;
    std::string key_;
};

void add_value(BeginningHashes& hashes, const json::value& value) {
    if (value.is_string()) {
        hashes.add(std::string_view(value.get_string()));
    } else {
        hashes.add(to_json(value));
    }
}

/// What the model reads comes in this order in most templates: tools, instructions, messages. Conversations that go on
/// from one response have all that came before in common.
std::string sort_key_of(const json::object& body) {
    BeginningHashes hashes;
    for (const char* name : {"tools", "instructions", "previous_response_id"}) {
        if (const json::value* value = body.if_contains(name)) add_value(hashes, *value);
    }
    for (const char* name : {"messages", "prompt", "input"}) {
        const json::value* prompt = body.if_contains(name);
        if (prompt == nullptr) continue;
        if (!prompt->is_array()) {
            add_value(hashes, *prompt);
            continue;
        }
        for (const json::value& entry : prompt->get_array()) {
            if (!entry.is_object()) {
                add_value(hashes, entry);
                continue;
            }
            for (const char* field : {"role", "content"}) {
                if (const json::value* value = entry.get_object().if_contains(field)) add_value(hashes, *value);
            }
        }
    }
    return std::move(hashes).key();
}

std::int64_t count_in(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    const std::int64_t* whole = value == nullptr ? nullptr : value->if_int64();
    return whole == nullptr || *whole < 0 ? 0 : *whole;
}

std::int64_t count_within(const json::object& object, std::string_view details, std::string_view name) {
    const json::value* inner = object.if_contains(details);
    return inner != nullptr && inner->is_object() ? count_in(inner->get_object(), name) : 0;
}

std::unexpected<BatchError> bad_line(std::string code, std::string message, std::string param = {}) {
    return std::unexpected(BatchError{std::move(code), std::move(message), std::move(param)});
}

}  // namespace

std::string_view to_string(BatchEndpoint endpoint) {
    for (const auto& [one, url] : kEndpoints) {
        if (one == endpoint) return url;
    }
    return {};
}

std::optional<BatchEndpoint> batch_endpoint(std::string_view url) {
    for (const auto& [one, its] : kEndpoints) {
        if (its == url) return one;
    }
    return std::nullopt;
}

std::string_view to_string(BatchStatus status) {
    switch (status) {
        case BatchStatus::kValidating: return "validating";
        case BatchStatus::kInProgress: return "in_progress";
        case BatchStatus::kFinalizing: return "finalizing";
        case BatchStatus::kCompleted: return "completed";
        case BatchStatus::kFailed: return "failed";
        case BatchStatus::kExpired: return "expired";
        case BatchStatus::kCancelling: return "cancelling";
        case BatchStatus::kCancelled: return "cancelled";
    }
    return "failed";
}

std::string encode_batch_errors(std::span<const BatchError> errors) {
    json::array list;
    for (const BatchError& error : errors) {
        list.push_back({{"code", error.code},
                        {"message", error.message},
                        {"param", or_null(error.param)},
                        {"line", error.line > 0 ? json::value(error.line) : json::value()}});
    }
    return to_json(json::object{{"object", "list"}, {"data", std::move(list)}});
}

void BatchUsage::add(const BatchUsage& other) {
    input += other.input;
    cached += other.cached;
    output += other.output;
    reasoning += other.reasoning;
}

BatchUsage usage_of_answer(std::string_view body) {
    constexpr std::string_view kMember = "\"usage\":";
    const std::size_t at = body.rfind(kMember);
    if (at == std::string_view::npos) return {};
    body.remove_prefix(at + kMember.size());
    json::stream_parser parser;
    json::error_code failure;
    parser.write_some(body.data(), body.size(), failure);
    if (failure || !parser.done()) return {};
    const json::value value = parser.release();
    if (!value.is_object()) return {};
    const json::object& usage = value.get_object();
    if (usage.contains("input_tokens")) {  // of a response
        return {count_in(usage, "input_tokens"), count_within(usage, "input_tokens_details", "cached_tokens"),
                count_in(usage, "output_tokens"), count_within(usage, "output_tokens_details", "reasoning_tokens")};
    }
    return {count_in(usage, "prompt_tokens"), count_within(usage, "prompt_tokens_details", "cached_tokens"),
            count_in(usage, "completion_tokens"), count_within(usage, "completion_tokens_details", "reasoning_tokens")};
}

std::string encode_batch(const BatchObject& batch) {
    return to_json(batch_json(batch));
}

std::string encode_batches(std::span<const BatchObject> batches, bool has_more) {
    json::array list;
    for (const BatchObject& batch : batches) list.push_back(batch_json(batch));
    json::object out{{"object", "list"}, {"data", std::move(list)}};
    out["first_id"] = batches.empty() ? json::value() : json::value(batches.front().id);
    out["last_id"] = batches.empty() ? json::value() : json::value(batches.back().id);
    out["has_more"] = has_more;
    return to_json(out);
}

Result<BatchOrder> parse_batch_order(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    BatchOrder order;
    fields.string("input_file_id", order.input_file_id);
    if (order.input_file_id.empty()) fields.refuse("input_file_id", "is missing");
    std::string url;
    fields.string("endpoint", url);
    if (const auto endpoint = batch_endpoint(url)) {
        order.endpoint = *endpoint;
    } else {
        fields.refuse("endpoint", url.empty() ? "is missing"
                                              : "must be \"/v1/chat/completions\", \"/v1/completions\", "
                                                "\"/v1/embeddings\" or \"/v1/responses\"");
    }
    read_window(fields, order);
    read_metadata(fields, order.metadata);
    read_output_expiry(fields, order);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return order;
}

std::expected<BatchLine, BatchError> parse_batch_line(std::string_view line, BatchEndpoint endpoint) {
    const auto object = parse_object(line);
    if (!object) return bad_line("invalid_json_line", "This line is not parseable as a JSON object.");
    std::optional<Error> error;
    FieldReader fields(*object, error);
    BatchLine out;
    std::string method;
    std::string url;
    fields.string("custom_id", out.custom_id);
    fields.string("method", method);
    fields.string("url", url);
    const json::value* body = fields.find("body");
    refuse_unknown(fields);
    if (error) return bad_line("invalid_parameter", error->message, error->field);
    if (out.custom_id.empty()) return bad_line("missing_required_parameter", "custom_id is missing.", "custom_id");
    if (out.custom_id.size() > kMostCustomIdBytes) {
        return bad_line("invalid_parameter", fmt::format("custom_id is longer than {} bytes.", kMostCustomIdBytes),
                        "custom_id");
    }
    if (method != "POST") return bad_line("invalid_method", "method must be \"POST\".", "method");
    if (url != to_string(endpoint)) {
        return bad_line("mismatched_url", fmt::format("url must be the batch's endpoint, \"{}\".", to_string(endpoint)),
                        "url");
    }
    if (body == nullptr || !body->is_object()) {
        return bad_line("missing_required_parameter", "body must be an object.", "body");
    }
    const json::value* model = body->get_object().if_contains("model");
    if (model != nullptr && model->is_string()) out.model = std::string_view(model->get_string());
    out.sort_key = sort_key_of(body->get_object());
    return out;
}

Result<std::string> body_of_line(std::string_view line) {
    const auto object = parse_object(line);
    if (!object) return std::unexpected(object.error());
    const json::value* body = object->if_contains("body");
    if (body == nullptr || !body->is_object()) {
        return fail(ErrorCode::kInvalidArgument, "body must be an object", "body");
    }
    return to_json(*body);
}

namespace {

std::string line_head(const LineIds& ids) {
    std::string out = R"({"id":)";
    append_quoted(out, ids.id);
    out += R"(,"custom_id":)";
    append_quoted(out, ids.custom_id);
    out += R"(,"response":)";
    return out;
}

}  // namespace

std::string encode_answer_line(const LineIds& ids, unsigned status, std::string_view body) {
    std::string out = line_head(ids);
    out.reserve(out.size() + body.size() + 128);
    out += R"({"status_code":)";
    append_number(out, status);
    out += R"(,"request_id":)";
    append_quoted(out, ids.request_id);
    out += R"(,"body":)";
    out += body;
    out += "},\"error\":null}\n";
    return out;
}

std::string encode_unanswered_line(const LineIds& ids, std::string_view code, std::string_view message) {
    std::string out = line_head(ids);
    out += R"(null,"error":{"code":)";
    append_quoted(out, code);
    out += R"(,"message":)";
    append_quoted(out, message);
    out += "}}\n";
    return out;
}

}  // namespace sutazai::api::openai
