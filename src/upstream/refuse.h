#pragma once

#include <fmt/format.h>

#include <string_view>

#include "base/error.h"

namespace sutazai::upstream {

/// For what another server has no word for.
[[nodiscard]] inline std::unexpected<Error> cannot_say(std::string_view field, std::string_view server) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is not supported with this model, which {} serves, whose API has no such field", field, server),
        std::string(field));
}

}  // namespace sutazai::upstream
