#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "fetch/access.h"
#include "fetch/source.h"

namespace sutazai::fetch {

enum class Direction : std::uint8_t { kPull, kPush };

/// Scheme and authority to ask for a model: its host, or that host's mirror for a pull. Pure.
[[nodiscard]] Result<Url> place_of(const Access& access, const Source& source, Direction direction);

/// kUnavailable, with both numbers, when the disk of `folder` has less than `bytes` free.
[[nodiscard]] Result<void> check_free_disk(const std::filesystem::path& folder, std::uint64_t bytes);

}  // namespace sutazai::fetch
