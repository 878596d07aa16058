#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "fetch/access.h"
#include "fetch/transfer.h"

namespace sutazai::fetch {

/// How long to wait and how often to try again.
struct Patience {
    std::chrono::milliseconds stall{30'000};     ///< without a byte, until an exchange counts as failed
    int tries = 6;                               ///< in a row without a byte
    std::chrono::milliseconds first_pause{500};  ///< before the second try; each later one twice as long
};

struct HttpRequest {
    std::string method = "GET";
    Url url;
    std::vector<std::string> headers = {};
    std::string body = {};
    /// A body that is read piece by piece, instead of `body`: `upload` fills a buffer with what is at `offset` and
    /// returns how much that is, or kNoMore to end the exchange.
    static constexpr std::size_t kNoMore = CURL_READFUNC_ABORT;
    std::uint64_t upload_bytes = 0;
    std::function<std::size_t(std::uint64_t offset, char* buffer, std::size_t size)> upload = {};
    std::size_t most_bytes = 1 << 20;    ///< of the answer
    bool drop_body = false;              ///< only the head of the answer is wanted
    std::chrono::milliseconds stall{0};  ///< another one than Patience has; 0: the same
};

struct HttpResponse {
    long status = 0;
    std::string body;
    Url url;                                     ///< that answered, after redirects
    std::map<std::string, std::string> headers;  ///< names in small letters

    [[nodiscard]] std::string header(const std::string& name) const;
    [[nodiscard]] bool is_success() const { return status >= 200 && status < 300; }
};

/// Small exchanges one after the other, with redirects and credentials, for one pull or push. Blocks; one thread.
class Client {
  public:
    /// `access` outlives it. A stop ends whatever runs, with kCancelled, within a tenth of a second.
    Client(const Access& access, Patience patience, std::stop_token stop);

    /// The answer, whatever its status, after redirects (of requests without a body) and after one answer to a 401.
    /// Failures that may pass are tried again when the request has no body. kUnavailable when no answer comes,
    /// kForbidden when a redirect leads where it must not.
    [[nodiscard]] Result<HttpResponse> send(const HttpRequest& request);

    /// The Authorization header that goes with `url`; empty: none. Never one that is for another host.
    [[nodiscard]] std::vector<std::string> authorization(const Url& url) const;
    /// Takes up a 401 of `url`, whose WWW-Authenticate header this is: gets a token, or takes the credentials that are
    /// for this host. kForbidden when there are none.
    [[nodiscard]] Result<void> answer_challenge(const Url& url, const std::string& header);

    [[nodiscard]] const Access& access() const { return access_; }
    [[nodiscard]] const Patience& patience() const { return patience_; }
    [[nodiscard]] const std::stop_token& stop() const { return stop_; }

  private:
    [[nodiscard]] Result<HttpResponse> exchange(const HttpRequest& request, const Url& url,
                                                const std::vector<std::string>& authorization);
    [[nodiscard]] Result<HttpResponse> follow(const HttpRequest& request, bool with_credentials);
    [[nodiscard]] Result<std::string> get_token(const Url& url, const std::string& realm, const std::string& query);

    const Access& access_;
    const Patience patience_;
    const std::stop_token stop_;
    Multi multi_;
    Transfer transfer_;
    std::map<std::string, std::string> authorizations_;  // header values by origin
};

/// May the same request go well a little later?
[[nodiscard]] bool is_passing(long status);

/// What a status says for people, with what a registry wrote beside it: "404 (NAME_UNKNOWN: no such repository)".
[[nodiscard]] std::string describe(const HttpResponse& response);

/// Waits; false when it was stopped meanwhile.
[[nodiscard]] bool pause(const std::stop_token& stop, std::chrono::milliseconds time);

[[nodiscard]] inline std::unexpected<Error> cancelled() {
    return fail(ErrorCode::kCancelled, "cancelled");
}

}  // namespace sutazai::fetch
