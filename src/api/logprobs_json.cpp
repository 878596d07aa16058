#include "api/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>
#include <cmath>

#include "base/json_text.h"
#include "base/utf8_stream.h"

namespace sutazai::api {

namespace json = boost::json;

namespace {

double number(float logprob) {
    return std::isfinite(logprob) ? as_written(logprob) : -9999;
}

json::object chance_json(const TokenChance& chance) {
    json::array bytes;
    bytes.reserve(chance.piece.size());
    for (const char byte : chance.piece) bytes.push_back(static_cast<unsigned char>(byte));
    return {{"token", chance.piece}, {"logprob", number(chance.logprob)}, {"bytes", std::move(bytes)}};
}

json::value top_json(const TokenScore& score) {
    if (!score.scored) return nullptr;
    // Tokens may share a name; the likelier comes first and stays.
    json::object named;
    for (const TokenChance& chance : score.top) named.emplace(token_name(chance.piece), number(chance.logprob));
    named.emplace(token_name(score.token.piece), number(score.token.logprob));
    return named;
}

std::size_t count_characters(std::string_view piece) {
    return static_cast<std::size_t>(
        std::ranges::count_if(piece, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

json::object chat_logprobs(std::span<const TokenScore> scores) {
    json::array content;
    content.reserve(scores.size());
    for (const TokenScore& score : scores) {
        json::array top;
        for (const TokenChance& chance : score.top) top.push_back(chance_json(chance));
        json::object& token = content.emplace_back(chance_json(score.token)).get_object();
        token["top_logprobs"] = std::move(top);
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
}

json::object completion_logprobs(std::span<const TokenScore> scores, std::size_t& offset) {
    json::array tokens;
    json::array logprobs;
    json::array tops;
    json::array offsets;
    for (const TokenScore& score : scores) {
        tokens.push_back(json::string(token_name(score.token.piece)));
        logprobs.push_back(score.scored ? json::value(number(score.token.logprob)) : json::value());
        tops.push_back(top_json(score));
        offsets.push_back(offset);
        offset += count_characters(score.token.piece);
    }
    return {{"tokens", std::move(tokens)},
            {"token_logprobs", std::move(logprobs)},
            {"top_logprobs", std::move(tops)},
            {"text_offset", std::move(offsets)}};
}

bool is_utf8(std::string_view bytes) {
    Utf8Stream stream;
    std::string out;
    stream.append(bytes, out);
    stream.finish(out);
    return out == bytes;
}

std::string token_name(std::string_view piece) {
    if (is_utf8(piece)) return std::string(piece);
    std::string name = "bytes:";
    for (const char byte : piece) {
        fmt::format_to(std::back_inserter(name), "\\x{:02x}", static_cast<unsigned char>(byte));
    }
    return name;
}

}  // namespace sutazai::api
