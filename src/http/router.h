#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/family.h"
#include "http/request.h"

namespace sutazai::http {

struct Services;
class Exchange;

/// Answers one request through the exchange. An error returned before anything was sent becomes the answer, in the
/// shape of the route's family; after that the connection is closed.
using Handler = boost::asio::awaitable<Result<void>> (*)(Services& services, Exchange& exchange);

/// One row of the routing table. A path that ends in "/*" takes the rest of the request's path as its parameter.
struct Route {
    Method method;
    std::string_view path;
    Family family;
    Handler handler;
    bool open = false;     ///< needs no API key
    bool streams = false;  ///< its handler reads the body as it comes, whatever its type and however long
};

/// What a request's path led to.
struct Match {
    const Route* route = nullptr;
    std::string parameter;  ///< percent-decoded rest of a "/*" path
    std::string allowed;    ///< methods of this path, as for the Allow header; empty: no such path
    Family family = Family::kStreamingV1;
};

/// The routing table. Immutable.
class Router {
  public:
    explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

    /// HEAD goes where GET goes. No route with `allowed` filled in means 405, with `allowed` empty 404.
    [[nodiscard]] Match match(Method method, std::string_view path) const;

  private:
    std::vector<Route> routes_;
};

}  // namespace sutazai::http
