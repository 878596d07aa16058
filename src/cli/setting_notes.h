#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace sutazai::cli {

/// What is allowed and not what somebody may have meant, a sentence each: values for which others are used, and more
/// threads than `n_processors`.
[[nodiscard]] std::vector<std::string> setting_notes(const config::Loaded& loaded, unsigned n_processors);

}  // namespace sutazai::cli
