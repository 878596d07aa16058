#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "config/settings.h"

/// Talking to a running server from the command line.
namespace sutazai::cli {

/// Where the server of these settings listens, as this machine reaches it: a wildcard HOST is 127.0.0.1.
/// kInvalidArgument for PORT=0, which only the server that got one knows.
[[nodiscard]] Result<std::string> server_url(const config::Settings& settings);

/// One request at a time, each on a connection of its own; blocks. Any thread, but not two at once.
class ServerClient {
  public:
    /// `url` is http://host[:port]; `api_key` may be empty.
    ServerClient(std::string url, std::string api_key) : url_(std::move(url)), api_key_(std::move(api_key)) {}

    /// The body of a 200; else the server's own message. kUnavailable when no server answers at the URL. Waits for as
    /// long as the server takes.
    [[nodiscard]] Result<std::string> post(std::string_view path, std::string_view body) const;

  private:
    std::string url_;
    std::string api_key_;
};

}  // namespace sutazai::cli
