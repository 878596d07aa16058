#pragma once

#include "base/error.h"
#include "http/exchange.h"
#include "http/router.h"
#include "http/services.h"

namespace sutazai::http {

/// Everything that is decided on a request's head alone, before its body is read: Host, Origin, API key, route, method
/// and content type, in this order. Sets the exchange's family, parameter and CORS headers. The route returned may be
/// the built-in one that answers OPTIONS.
[[nodiscard]] Result<const Route*> admit(const Services& services, Exchange& exchange);

}  // namespace sutazai::http
