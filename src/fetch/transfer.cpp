#include "fetch/transfer.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>

#include "catalog/ollama_name.h"
#include "fetch/address.h"

namespace sutazai::fetch {
namespace {

constexpr std::size_t kMostHeaders = 100;
constexpr long kConnectSeconds = 20;
constexpr long kBufferBytes = 512 << 10;

void start_curl() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

Multi make_multi() {
    start_curl();
    Multi multi(curl_multi_init());
    if (!multi) throw std::bad_alloc();
    return multi;
}

Transfer::Transfer(const Access& access) : access_(access) {
    start_curl();
    handle_.reset(curl_easy_init());
    if (!handle_) throw std::bad_alloc();
}

void Transfer::aim(const Url& url, const std::vector<std::string>& headers, OnBody on_body) {
    url_ = url;
    on_body_ = std::move(on_body);
    headers_.clear();
    refused_address_ = false;
    curl_slist* list = nullptr;
    // curl would wait for a "100 Continue" that some registries never send.
    for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
    header_list_.reset(curl_slist_append(list, "Expect:"));

    CURL* const curl = handle_.get();
    curl_easy_reset(curl);
    const std::string proxy = access_.proxies.for_url(url);
    through_proxy_ = !proxy.empty();
    const auto set = [curl](CURLoption option, auto value) { curl_easy_setopt(curl, option, value); };
    set(CURLOPT_URL, url.text().c_str());
    set(CURLOPT_PROTOCOLS_STR, url.scheme.c_str());
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, proxy.c_str());
    set(CURLOPT_NOPROXY, "");
    if (!access_.ca_file.empty()) set(CURLOPT_CAINFO, access_.ca_file.c_str());
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    // One connection for each part: parts that share one wait for each other.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_HTTPHEADER, header_list_.get());
    set(CURLOPT_USERAGENT, "sutazai");
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // a name that nobody resolves holds up no cancelling
    set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    set(CURLOPT_HEADERFUNCTION, &Transfer::take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &Transfer::take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_PRIVATE, static_cast<void*>(this));
}

curl_socket_t Transfer::open_socket(void* self, curlsocktype /*purpose*/, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(self);
    // A proxy is where the operator wants it, and sees to the rest.
    if (!transfer.through_proxy_ && !transfer.access_.allows_private(transfer.url_) &&
        !is_public_address(address->addr)) {
        transfer.refused_address_ = true;
        return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t Transfer::take_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    if (line.starts_with("HTTP/")) {
        transfer.headers_.clear();  // of an interim response, or of a proxy
        return line.size();
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || transfer.headers_.size() >= kMostHeaders) return line.size();
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.size(), value.find_first_not_of(" \t")));
    value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
    transfer.headers_[catalog::in_small_letters(line.substr(0, colon))] = value;
    return line.size();
}

std::size_t Transfer::take_body(char* data, std::size_t size, std::size_t count, void* self) {
    const std::string_view piece(data, size * count);
    return static_cast<Transfer*>(self)->on_body_(piece) ? piece.size() : CURL_WRITEFUNC_ERROR;
}

long Transfer::status() const {
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
}

std::string Transfer::header(const std::string& name) const {
    const auto found = headers_.find(name);
    return found == headers_.end() ? std::string() : found->second;
}

Result<std::optional<Url>> Transfer::redirect() const {
    const long code = status();
    if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308) return std::nullopt;
    auto target = resolve_url(url_, header("location"));
    if (!target) {
        return fail(ErrorCode::kUnavailable, fmt::format("{} redirects to no valid URL", url_.authority()));
    }
    if (auto checked = access_.check_redirect(url_, *target); !checked) {
        return std::unexpected(std::move(checked.error()));
    }
    return std::optional(std::move(*target));
}

Error Transfer::failure(CURLcode code) const {
    if (refused_address_) {
        return {ErrorCode::kForbidden,
                fmt::format("{} stands for a private address; only hosts of PULL_PRIVATE_HOSTS may", url_.authority())};
    }
    // Which curl calls a want of memory.
    const char* const what =
        code == CURLE_OUT_OF_MEMORY ? "the head of its answer is too long" : curl_easy_strerror(code);
    return {ErrorCode::kUnavailable, fmt::format("{}: {}", url_.authority(), what)};
}

}  // namespace sutazai::fetch
