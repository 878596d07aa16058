#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/duration.h"
#include "base/error.h"
#include "serve/caller.h"
#include "serve/context.h"

/// Requests that ask for no answer, only for their model.
namespace sutazai::serve {

/// Returns when the model is warm, with so much context at least: its name in the catalogue. Errors as those of
/// lease_model() (admission.h).
[[nodiscard]] boost::asio::awaitable<Result<std::string>> load_model(Context& context, Caller caller, std::string model,
                                                                     std::optional<KeepAlive> keep_alive,
                                                                     std::uint32_t context_tokens = 0);

/// Returns when the model is cold: its name in the catalogue. Running requests end first. For those who may say
/// keep_alive 0.
[[nodiscard]] boost::asio::awaitable<Result<std::string>> unload_model(Context& context, Caller caller,
                                                                       std::string model);

}  // namespace sutazai::serve
