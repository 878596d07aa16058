#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "http/exchange.h"
#include "http/router.h"
#include "http/services.h"

namespace sutazai::http {

/// Everything that is decided on a request's head alone, before its body is read: Host, Origin, API key, route, method,
/// content type and coding, in this order. Sets the exchange's family, parameter, caller and CORS headers. The route
/// returned may be the built-in one that answers OPTIONS.
[[nodiscard]] Result<const Route*> admit(const Services& services, Exchange& exchange);

/// What changes others' world is for administrators: callers with a key of ADMIN_API_KEYS, or, where no keys are set at
/// all, those on this machine. kForbidden for others, naming `what` ("evict").
[[nodiscard]] Result<void> require_admin(const Services& services, const Exchange& exchange, std::string_view what,
                                         std::string field);

}  // namespace sutazai::http
