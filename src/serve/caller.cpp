#include "serve/caller.h"

#include <fmt/format.h>

#include <chrono>

namespace sutazai::serve {

Result<void> check_priority(const Caller& caller, int priority, std::string_view path) {
    if (caller.admin || priority >= 0) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}priority must be between 0 and 1000 (got {}); below 0 it needs an administrator's key "
                            "(ADMIN_API_KEYS).",
                            path, priority),
                fmt::format("{}priority", path));
}

Result<void> check_keep_alive(const config::Settings& settings, const Caller& caller,
                              std::optional<KeepAlive> keep_alive) {
    if (caller.admin || !keep_alive || *keep_alive == settings.model_keep_alive) return {};
    const KeepAlive least = std::chrono::minutes(1);
    const KeepAlive most = std::chrono::hours(24);
    if (*keep_alive >= least && *keep_alive <= most) return {};
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("keep_alive must be between {} and {}, or {} as MODEL_KEEP_ALIVE has it (got {}); others need "
                    "an administrator's key (ADMIN_API_KEYS).",
                    show_keep_alive(least), show_keep_alive(most), show_keep_alive(settings.model_keep_alive),
                    show_keep_alive(*keep_alive)),
        "keep_alive");
}

}  // namespace sutazai::serve
