#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/error.h"
#include "config/settings.h"

namespace sutazai::serve {

/// Whose request it is (docs/decisions/0015-keys-and-administrators.md).
struct Caller {
    std::string tenant = {};  ///< made from their API key; empty where none is asked for
    bool admin = false;       ///< may change what others have
};

/// A request may go before others (a negative priority) only for an administrator: else kInvalidArgument. `path` is
/// put before the field's name.
[[nodiscard]] Result<void> check_priority(const Caller& caller, int priority, std::string_view path = {});

/// A plain caller's keep_alive neither unloads a model that others use nor overrides MODEL_KEEP_ALIVE for ever: from a
/// minute to a day, or as the server has it. kInvalidArgument beyond that, but for an administrator.
[[nodiscard]] Result<void> check_keep_alive(const config::Settings& settings, const Caller& caller,
                                            std::optional<KeepAlive> keep_alive);

}  // namespace sutazai::serve
