#pragma once

#include <filesystem>

#include "config/settings.h"

/// `sutazai serve`: puts the server process together.
namespace sutazai::app {

/// Serves until SIGTERM or SIGINT, then drains: nothing new is taken, running streams finish within DRAIN_TIMEOUT_S; a
/// second signal cuts that short. Returns the exit code: 0, or 1 when the start failed (with a line on standard error).
/// One I/O thread, the calling one.
[[nodiscard]] int serve(const config::Loaded& loaded, const std::filesystem::path& executable);

}  // namespace sutazai::app
