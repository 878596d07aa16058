#include "api/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "api/json_text.h"
#include "text/utf8_stream.h"

namespace sutazai::api {

namespace {

bool is_utf8(std::string_view bytes) {
    text::Utf8Stream stream;
    std::string out;
    stream.append(bytes, out);
    stream.finish(out);
    return out == bytes;
}

void append_chance(std::string& out, const TokenChance& chance) {
    out += R"({"token":)";
    append_quoted(out, chance.piece);
    out += R"(,"logprob":)";
    append_logprob(out, chance.logprob);
    out += R"(,"bytes":[)";
    for (std::size_t i = 0; i < chance.piece.size(); ++i) {
        if (i > 0) out += ',';
        append_number(out, static_cast<unsigned char>(chance.piece[i]));
    }
    out += ']';
}

void append_top(std::string& out, const TokenScore& score) {
    if (!score.scored) {
        out += "null";
        return;
    }
    // Tokens may share a name; an object cannot hold it twice.
    std::vector<std::pair<std::string, float>> named;
    const auto add = [&](const TokenChance& chance) {
        std::string name = token_name(chance.piece);
        const auto same = [&](const auto& entry) { return entry.first == name; };
        if (std::ranges::none_of(named, same)) named.emplace_back(std::move(name), chance.logprob);
    };
    for (const TokenChance& chance : score.top) add(chance);
    add(score.token);
    out += '{';
    for (std::size_t i = 0; i < named.size(); ++i) {
        if (i > 0) out += ',';
        append_quoted(out, named[i].first);
        out += ':';
        append_logprob(out, named[i].second);
    }
    out += '}';
}

std::size_t count_characters(std::string_view piece) {
    return static_cast<std::size_t>(
        std::ranges::count_if(piece, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

void append_logprob(std::string& out, float logprob) {
    if (std::isfinite(logprob)) {
        fmt::format_to(std::back_inserter(out), "{}", logprob);
    } else {
        out += "-9999.0";
    }
}

void append_chat_logprobs(std::string& out, std::span<const TokenScore> scores) {
    out += R"({"content":[)";
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (i > 0) out += ',';
        append_chance(out, scores[i].token);
        out += R"(,"top_logprobs":[)";
        for (std::size_t k = 0; k < scores[i].top.size(); ++k) {
            if (k > 0) out += ',';
            append_chance(out, scores[i].top[k]);
            out += '}';
        }
        out += "]}";
    }
    out += R"(],"refusal":null})";
}

void append_completion_logprobs(std::string& out, std::span<const TokenScore> scores, std::size_t& offset) {
    const auto list = [&](std::string_view name, auto&& append) {
        out += name;
        for (std::size_t i = 0; i < scores.size(); ++i) {
            if (i > 0) out += ',';
            append(scores[i]);
        }
        out += ']';
    };
    list(R"({"tokens":[)", [&](const TokenScore& score) { append_quoted(out, token_name(score.token.piece)); });
    list(R"(,"token_logprobs":[)", [&](const TokenScore& score) {
        if (score.scored) {
            append_logprob(out, score.token.logprob);
        } else {
            out += "null";
        }
    });
    list(R"(,"top_logprobs":[)", [&](const TokenScore& score) { append_top(out, score); });
    list(R"(,"text_offset":[)", [&](const TokenScore& score) {
        append_number(out, offset);
        offset += count_characters(score.token.piece);
    });
    out += '}';
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
