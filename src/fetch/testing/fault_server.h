#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fetch/url.h"

/// For tests: an HTTP server on a loopback port that does what a test wants to go wrong.
namespace sutazai::fetch::testing {

struct Request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  ///< names in small letters
    std::string body;
};

struct Reply {
    static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
    int status = 200;
    std::vector<std::string> headers = {};
    std::string body = {};
    std::size_t cut = kAll;  ///< the connection ends after so many bytes of the body
    bool stall = false;      ///< instead of ending there, nothing more comes
};

/// The part of `content` that the request's Range asks for, or all of it.
[[nodiscard]] Reply range_of(const std::string& content, const Request& request, const std::string& etag = {});

class FaultServer {
  public:
    /// `handler` is called on a thread of each connection, one at a time.
    explicit FaultServer(std::function<Reply(const Request&)> handler);
    ~FaultServer();
    FaultServer(const FaultServer&) = delete;
    FaultServer& operator=(const FaultServer&) = delete;

    [[nodiscard]] std::string host() const;  ///< 127.0.0.1:port
    [[nodiscard]] Url url(const std::string& path) const;
    [[nodiscard]] std::vector<Request> requests() const;
    [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }  ///< sent

  private:
    void accept_all();
    void serve(int connection);

    std::function<Reply(const Request&)> handler_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<std::uint64_t> body_bytes_ = 0;
    std::atomic<bool> ending_ = false;
    mutable std::mutex mutex_;
    std::vector<Request> requests_;
    std::vector<int> open_;
    std::vector<std::jthread> threads_;
    std::jthread acceptor_;
};

}  // namespace sutazai::fetch::testing
