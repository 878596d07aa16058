#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "serve/caller.h"
#include "serve/context.h"

namespace sutazai::serve {

/// What a model reads of a prompt.
struct Reading {
    std::string model;
    std::string text;                  ///< of a chat or of tokens
    std::size_t n_tokens = 0;          ///< with those that images are
    std::vector<std::int32_t> tokens;  ///< without them
    std::vector<std::string> pieces;   ///< the bytes of each token, if asked for; maybe a part of a character
};

/// `request` is of Task::kRead; a chat gets what every chat with that model gets. The model's name may be empty: the
/// server's default. Nothing is computed, but a cold model is loaded.
[[nodiscard]] boost::asio::awaitable<Result<Reading>> read_prompt(Context& context, Caller caller, std::string model,
                                                                  GenerationRequest request);

}  // namespace sutazai::serve
