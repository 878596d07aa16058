#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// The body of POST /api/v1/streaming/cache/manage. Pure.
namespace sutazai::api {

enum class CacheAction : std::uint8_t { kStatus, kWarmup, kSave, kLoad, kEvict, kPin, kUnpin, kPrune };
[[nodiscard]] const char* to_string(CacheAction action);

inline constexpr std::size_t kMaxCacheModels = 64;

struct CacheCommand {
    CacheAction action = CacheAction::kStatus;
    std::vector<std::string> models;  ///< each once; empty: the action's own choice
    bool force = false;               ///< evict: wait for the end of running requests
};

/// kInvalidArgument for an action that is none, names that are no strings or too many, and a missing list where the
/// action has no choice of its own: evict, pin, unpin.
[[nodiscard]] Result<CacheCommand> parse_cache_command(std::string_view body);

}  // namespace sutazai::api
