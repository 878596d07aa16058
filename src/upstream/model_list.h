#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/upstream_address.h"

namespace sutazai::upstream {

inline constexpr std::size_t kMostRemoteModels = 10'000;

/// The names of the models that a server lists, in order, each once. Those that no model can have here are left out.
/// kUpstreamFailed for what is no list. Pure.
[[nodiscard]] Result<std::vector<std::string>> read_model_list(UpstreamKind kind, std::string_view body);

}  // namespace sutazai::upstream
