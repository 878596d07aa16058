#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/generation.h"

/// Routes that llama-server has of its own and editors' programs use: /tokenize, /detokenize, /apply-template, /props,
/// /slots. Field
/// names and shapes are those of llama.cpp's tools/server/README.md. Pure.
namespace sutazai::api::llama_server {

/// What a prompt is to be read for.
struct ReadBody {
    std::string model;  ///< empty: the server's default
    GenerationRequest request;
};

/// `content`, `add_special` (false: without the tokens that the model wants around a text), `parse_special` (true:
/// names of control tokens are those tokens), `with_pieces`.
[[nodiscard]] Result<ReadBody> parse_tokenize(std::string_view body);
/// {"tokens":[1,2]}, or with pieces {"tokens":[{"id":1,"piece":"a"},{"id":2,"piece":[226,130]}]}: bytes where a piece
/// is no UTF-8.
[[nodiscard]] std::string encode_tokens(std::span<const std::int32_t> tokens);
[[nodiscard]] std::string encode_pieces(std::span<const std::int32_t> tokens, std::span<const std::string> pieces);

/// `tokens`.
[[nodiscard]] Result<ReadBody> parse_detokenize(std::string_view body);
[[nodiscard]] std::string encode_content(std::string_view text);

/// The fields of a chat that say what the model reads.
[[nodiscard]] Result<ReadBody> parse_apply_template(std::string_view body);
[[nodiscard]] std::string encode_prompt(std::string_view text);

/// What GET /props and GET /slots tell of a model.
struct ModelProps {
    std::string model;
    std::string chat_template;  ///< empty: none
    std::string file;           ///< its path, where whoever asks may know it
    int context_tokens = 0;     ///< of one request; what it was trained for while it is cold
    std::size_t places = 0;     ///< requests that are computed together at most
    std::size_t running = 0;    ///< of them, in use now
    bool is_warm = false;
    bool sees = false;  ///< it takes images
};
[[nodiscard]] std::string encode_props(const ModelProps& props, std::string_view build);
/// One entry a place. Requests have no place of their own here: the first `running` ones are said to be in use.
[[nodiscard]] std::string encode_slots(const ModelProps& props);

}  // namespace sutazai::api::llama_server
