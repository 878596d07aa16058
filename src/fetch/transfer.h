#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/access.h"

namespace sutazai::fetch {

/// One exchange with a server through libcurl, used again for another one after it. Never follows a redirect, and
/// connects to no private address that `access` does not allow: what is looked at is the address that is connected to,
/// not the one that a name had a moment before. One thread.
class Transfer {
  public:
    /// Takes a piece of the body. False ends the exchange.
    using OnBody = std::function<bool(std::string_view)>;

    /// `access` outlives it.
    explicit Transfer(const Access& access);
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    /// A GET of `url` comes next, its body to `on_body`. Options of the exchange before (a method, a range) are gone.
    void aim(const Url& url, const std::vector<std::string>& headers, OnBody on_body);
    [[nodiscard]] CURL* handle() const { return handle_.get(); }
    [[nodiscard]] const Url& url() const { return url_; }

    [[nodiscard]] long status() const;
    /// Of the last response's head, by name in small letters: "" when it is absent.
    [[nodiscard]] std::string header(const std::string& name) const;
    [[nodiscard]] const std::map<std::string, std::string>& headers() const { return headers_; }
    /// Where a status of 3xx sends us, if it may; nothing for other statuses.
    [[nodiscard]] Result<std::optional<Url>> redirect() const;
    /// Why the exchange failed, as a sentence without what is secret.
    [[nodiscard]] Error failure(CURLcode code) const;

  private:
    static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
    static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self);

    struct FreeHandle {
        void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    };
    struct FreeList {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };
    const Access& access_;
    Url url_;
    OnBody on_body_;
    std::map<std::string, std::string> headers_;
    bool refused_address_ = false;
    bool through_proxy_ = false;
    std::unique_ptr<curl_slist, FreeList> header_list_;
    std::unique_ptr<CURL, FreeHandle> handle_;  // last: it uses the rest
};

/// Transfers that run side by side on one thread.
struct FreeMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Multi = std::unique_ptr<CURLM, FreeMulti>;
[[nodiscard]] Multi make_multi();

}  // namespace sutazai::fetch
