#include "upstream/remote_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <utility>

#include "base/utf8_stream.h"

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostWords = 600;
constexpr std::size_t kMostField = 100;

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string()) return {};
    return std::string(std::string_view(value->get_string()));
}

/// The words that a server has for what went wrong.
std::string words_in(const json::object& said) {
    if (const json::value* error = said.if_contains("error")) {
        if (error->is_string()) return std::string(std::string_view(error->get_string()));
        if (const json::object* object = error->if_object()) return text_of(*object, "message");
    }
    std::string words = text_of(said, "message");
    return words.empty() ? text_of(said, "detail") : words;
}

std::string field_in(const json::object& said) {
    const json::value* error = said.if_contains("error");
    const json::object* object = error == nullptr ? nullptr : error->if_object();
    const std::string field = object == nullptr ? "" : text_of(*object, "param");
    const bool plain = field.size() <= kMostField &&
                       std::ranges::all_of(field, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
    return plain ? field : "";
}

ErrorCode code_in(const json::object& said) {
    const json::value* error = said.if_contains("error");
    const json::object* object = error == nullptr ? nullptr : error->if_object();
    if (object == nullptr) return ErrorCode::kUpstreamFailed;
    const std::string code = text_of(*object, "code");
    const std::string type = text_of(*object, "type");
    if (code == "context_length_exceeded" || type == "exceed_context_size_error") return ErrorCode::kContextOverflow;
    if (code == "queue_full" || type == "rate_limit_error") return ErrorCode::kQueueFull;
    if (code == "queue_timeout") return ErrorCode::kQueueTimeout;
    if (type == "invalid_request_error") return ErrorCode::kInvalidArgument;
    return ErrorCode::kUpstreamFailed;
}

std::string plain_words(std::string_view text) {
    std::string whole;
    Utf8Stream stream;
    stream.append(text.substr(0, kMostWords), whole);
    if (text.size() <= kMostWords) stream.finish(whole);
    std::ranges::replace_if(
        whole, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, ' ');
    if (text.size() > kMostWords) whole += "...";
    return whole;
}

}  // namespace

Error fit_to_show(Error error, std::string_view key) {
    const auto holds_key = [&](const std::string& text) { return !key.empty() && text.find(key) != std::string::npos; };
    // Looked for before anything is cut: most of a key that the cut goes through would be left.
    error.message = holds_key(error.message) ? "its words hold a secret" : plain_words(error.message);
    if (holds_key(error.field)) error.field.clear();
    return error;
}

bool tells_error(const json::object& said) {
    const json::value* error = said.if_contains("error");
    if (error != nullptr && !error->is_null()) return true;
    return text_of(said, "object") == "error";
}

Error error_of(const json::object& said) {
    std::string words = words_in(said);
    if (words.empty()) words = "it gives no reason";
    const ErrorCode code = code_in(said);
    if (code == ErrorCode::kUpstreamFailed) words = "it failed: " + words;
    return {code, std::move(words), field_in(said)};
}

Error error_of_answer(unsigned status, std::string_view body, int retry_after_s, std::string_view server) {
    boost::system::error_code no_json;
    const json::value parsed = json::parse(body, no_json);
    const json::object* said = no_json ? nullptr : parsed.if_object();
    const std::string words = said == nullptr ? "" : words_in(*said);
    Error error{ErrorCode::kUpstreamFailed, "", said == nullptr ? "" : field_in(*said), retry_after_s};
    switch (status) {
        case 400:
        case 422:
            error.code = said != nullptr && code_in(*said) == ErrorCode::kContextOverflow ? ErrorCode::kContextOverflow
                                                                                          : ErrorCode::kInvalidArgument;
            break;
        case 404: error.code = ErrorCode::kNotFound; break;
        case 408: error.code = ErrorCode::kQueueTimeout; break;
        case 413: error.code = ErrorCode::kPayloadTooLarge; break;
        case 429: error.code = ErrorCode::kQueueFull; break;
        case 401:
        case 403:
            // Whose words may hold a part of the key, and are no business of whoever asks here.
            error.message = fmt::format("it does not let this server in (status {})", status);
            error.field.clear();
            return error;
        default:
            if (status >= 300 && status < 400) {
                error.message = fmt::format("it answers with a redirect ({}), which is not followed", status);
            } else {
                error.message = fmt::format("it answers with status {}{}{}", status, words.empty() ? "" : ": ", words);
            }
            error.field.clear();
            return error;
    }
    error.message =
        words.empty() ? fmt::format("{} answers with status {}, and gives no reason", server, status) : words;
    return error;
}

}  // namespace sutazai::upstream
