#pragma once

#include <map>
#include <string>

#include "base/error.h"
#include "config/settings.h"
#include "fetch/pull.h"

namespace sutazai::fetch {

/// What the settings and the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, also in small letters;
/// SSL_CERT_FILE) say.
/// kInvalidArgument, without what is secret. Pure.
[[nodiscard]] Result<Options> make_options(const config::Settings& settings,
                                           const std::map<std::string, std::string>& environment);

/// What of it this process has.
[[nodiscard]] std::map<std::string, std::string> network_environment();

}  // namespace sutazai::fetch
