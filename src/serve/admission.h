#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"
#include "models/model_manager.h"
#include "serve/caller.h"
#include "serve/context.h"

/// What every request goes through before it runs.
namespace sutazai::serve {

/// What the server adds to every request of a caller: the tenant. kInvalidArgument for a priority below 0, which lets a
/// request go before others, unless the caller is an administrator; `path` is put before the field's name.
[[nodiscard]] Result<void> complete_request(const Caller& caller, GenerationRequest& request,
                                            std::string_view path = {});

/// Writes the prompt into the log, cut to 4 KiB, where LOG_PROMPTS says so.
void log_prompt(const Context& context, const Caller& caller, const GenerationRequest& request);

/// What is left open once it is known which model has the request: its defaults (model_defaults.h), then the cap on
/// max_tokens. kInvalidArgument for adapters that the model has not.
[[nodiscard]] Result<void> settle(const Context& context, const models::Lease& lease, GenerationRequest& request);

/// May the caller say so? A plain one's neither unloads a model that others use nor overrides MODEL_KEEP_ALIVE for
/// ever, so that it is from a minute to a day, or as the server has it; kInvalidArgument for "keep_alive" beyond that.
[[nodiscard]] Result<void> check_keep_alive(const config::Settings& settings, const Caller& caller,
                                            std::optional<KeepAlive> keep_alive);

/// A hold on the model of that name, or on the default one, with a context of so many tokens at least (0: whatever
/// there is). A model that has less is loaded anew for an administrator, unless there can be no more. Errors name the
/// field "model", "keep_alive" as above, or "options.num_ctx".
[[nodiscard]] boost::asio::awaitable<Result<models::Lease>> lease_model(Context& context, Caller caller,
                                                                        std::string model,
                                                                        std::optional<KeepAlive> keep_alive,
                                                                        std::uint32_t context_tokens = 0);

/// How many generations of a list of prompts are in an engine at once: a full batch, and another that waits behind it.
[[nodiscard]] std::size_t generations_at_once(const config::Settings& settings);

}  // namespace sutazai::serve
