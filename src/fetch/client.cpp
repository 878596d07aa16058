#include "fetch/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "fetch/challenge.h"

namespace sutazai::fetch {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kMostRedirects = 10;
constexpr int kTries = 3;
constexpr milliseconds kLook{100};
constexpr std::size_t kMostWords = 300;  // of a server's explanation

/// Attached to a multi handle for as long as it lives.
class Attached {
  public:
    Attached(CURLM* multi, CURL* handle) : multi_(multi), handle_(handle) { curl_multi_add_handle(multi_, handle_); }
    ~Attached() { curl_multi_remove_handle(multi_, handle_); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

  private:
    CURLM* multi_;
    CURL* handle_;
};

using Upload = std::function<std::size_t(char* buffer, std::size_t size)>;

std::size_t fill(char* buffer, std::size_t size, std::size_t count, void* upload) {
    return (*static_cast<Upload*>(upload))(buffer, size * count);
}

/// A server's words, fit to be shown.
std::string plain(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, kMostWords)) out += c >= ' ' && c <= '~' ? c : ' ';
    return out;
}

std::string escaped(const std::string& text) {
    char* const raw = curl_easy_escape(nullptr, text.c_str(), static_cast<int>(text.size()));
    std::string out(raw == nullptr ? "" : raw);
    curl_free(raw);
    return out;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
}

Client::Client(const Access& access, Patience patience, std::stop_token stop)
    : access_(access), patience_(patience), stop_(std::move(stop)), multi_(make_multi()), transfer_(access) {}

Result<HttpResponse> Client::exchange(const HttpRequest& request, const Url& url,
                                      const std::vector<std::string>& authorization) {
    HttpResponse out;
    auto active = Clock::now();
    bool too_large = false;
    std::vector<std::string> headers = request.headers;
    headers.insert(headers.end(), authorization.begin(), authorization.end());
    transfer_.aim(url, headers, [&](std::string_view piece) {
        active = Clock::now();
        // The end of the exchange, unless it is a refusal, whose words are short.
        if (request.drop_body && transfer_.status() < 300) return false;
        too_large = out.body.size() + piece.size() > request.most_bytes;
        if (!too_large) out.body += piece;
        return !too_large;
    });
    CURL* const curl = transfer_.handle();
    std::uint64_t offset = 0;
    Upload upload = [&](char* buffer, std::size_t size) {
        active = Clock::now();
        const std::size_t read = request.upload(offset, buffer, size);
        if (read != HttpRequest::kNoMore) offset += read;
        return read;
    };
    if (request.upload) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.upload_bytes));
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, &fill);
        curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    } else if (request.method == "HEAD") {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (request.method != "GET") {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    const milliseconds stall = request.stall.count() > 0 ? request.stall : patience_.stall;
    const Attached attached(multi_.get(), curl);
    for (;;) {
        int running = 0;
        if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) {
            return fail(ErrorCode::kInternal, "libcurl failed");
        }
        int left = 0;
        if (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
            if (too_large) {
                return fail(ErrorCode::kUnavailable,
                            fmt::format("{}: the answer has more than {} bytes", url.authority(), request.most_bytes));
            }
            const bool was_dropped = request.drop_body && message->data.result == CURLE_WRITE_ERROR;
            if (message->data.result != CURLE_OK && !was_dropped)
                return std::unexpected(transfer_.failure(message->data.result));
            break;
        }
        if (stop_.stop_requested()) return cancelled();
        if (Clock::now() - active > stall) {
            return fail(ErrorCode::kUnavailable, fmt::format("{}: no byte came for {} s", url.authority(),
                                                             static_cast<double>(stall.count()) / 1000));
        }
        curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(kLook.count()), nullptr);
    }
    out.status = transfer_.status();
    out.url = url;
    out.headers = transfer_.headers();
    return out;
}

Result<HttpResponse> Client::follow(const HttpRequest& request, bool with_credentials) {
    Url url = request.url;
    bool answered = false;
    for (int hops = 0; hops <= kMostRedirects;) {
        auto response = exchange(request, url, with_credentials ? authorization(url) : std::vector<std::string>());
        if (!response) return response;
        if (response->status == 401 && with_credentials && !answered) {
            answered = true;
            auto done = answer_challenge(url, response->header("www-authenticate"));
            if (!done) return std::unexpected(std::move(done.error()));
            continue;
        }
        // A body is not sent to a place that the request did not name.
        if (request.upload || !request.body.empty()) return response;
        auto target = transfer_.redirect();
        if (!target) return std::unexpected(std::move(target.error()));
        if (!*target) return response;
        url = std::move(**target);
        ++hops;
    }
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} redirects more than {} times", request.url.authority(), kMostRedirects));
}

Result<HttpResponse> Client::send(const HttpRequest& request) {
    const bool has_body = request.upload || !request.body.empty() || request.method == "POST";
    milliseconds wait = patience_.first_pause;
    for (int tries = 1;; ++tries, wait *= 2) {
        auto response = follow(request, true);
        const bool failed = response ? is_passing(response->status) : response.error().code == ErrorCode::kUnavailable;
        if (!failed || has_body || tries >= kTries) return response;
        if (!pause(stop_, wait)) return cancelled();
    }
}

std::vector<std::string> Client::authorization(const Url& url) const {
    const auto known = authorizations_.find(url.scheme + "://" + url.authority());
    std::string value = known != authorizations_.end() ? known->second : access_.bearer_for(url);
    if (value.empty()) return {};
    return {"Authorization: " + value};
}

Result<std::string> Client::get_token(const Url& url, const std::string& realm, const std::string& query) {
    const auto refuse = [&](std::string_view why) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} asks for a token that cannot be had: {}", url.authority(), why));
    };
    auto place = parse_url(realm);
    if (!place) return refuse("its realm is no valid URL");
    if (auto checked = access_.check_redirect(url, *place); !checked) return refuse(checked.error().message);
    place->query += (place->query.empty() || query.empty() ? "" : "&") + query;
    HttpRequest request{.url = *place, .most_bytes = 64 << 10};
    // Only what is meant for the very host that is asked; and a token bought with it is for whoever asks for one. So it
    // must be that host itself that asks, or one that has the same credentials.
    const std::string basic = access_.basic_for(*place);
    if (!basic.empty() && (url.has_origin_of(*place) || access_.basic_for(url) == basic)) {
        request.headers.push_back("Authorization: " + basic);
    }
    // A redirect would carry the header along, so there must be none.
    auto response = exchange(request, *place, {});
    if (!response) return std::unexpected(std::move(response.error()));
    if (!response->is_success()) return refuse(place->authority() + " answers with " + describe(*response));
    boost::system::error_code error;
    const json::value parsed = json::parse(response->body, error);
    for (const char* const name : {"token", "access_token"}) {
        const json::object* object = error ? nullptr : parsed.if_object();
        const json::value* token = object == nullptr ? nullptr : object->if_contains(name);
        if (token == nullptr || !token->is_string()) continue;
        std::string text(token->get_string());
        const bool is_word = !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
        if (is_word) return text;
    }
    return refuse(place->authority() + " answers without one");
}

Result<void> Client::answer_challenge(const Url& url, const std::string& header) {
    const auto challenge = parse_challenge(header);
    std::string value;
    if (challenge && challenge->scheme == "bearer") {
        std::string query;
        for (const char* const name : {"service", "scope"}) {
            const std::string parameter = challenge->parameter(name);
            if (!parameter.empty()) query += fmt::format("{}{}={}", query.empty() ? "" : "&", name, escaped(parameter));
        }
        auto token = get_token(url, challenge->parameter("realm"), query);
        if (!token) return std::unexpected(std::move(token.error()));
        value = "Bearer " + *token;
    } else {
        value = challenge ? access_.basic_for(url) : "";
        if (value.empty()) {
            return fail(ErrorCode::kForbidden,
                        fmt::format("{} asks for credentials; REGISTRY_AUTH (or HF_TOKEN) has none for it, or they are "
                                    "not taken",
                                    url.authority()));
        }
    }
    authorizations_[url.scheme + "://" + url.authority()] = std::move(value);
    return {};
}

bool is_passing(long status) {
    return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

std::string describe(const HttpResponse& response) {
    std::string out = fmt::format("status {}", response.status);
    boost::system::error_code error;
    const json::value parsed = json::parse(response.body, error);
    const json::object* object = error ? nullptr : parsed.if_object();
    if (object == nullptr) return out;
    // A registry's {"errors": [{"code", "message"}]}, or {"error": "..."}.
    if (const json::value* errors = object->if_contains("errors"); errors != nullptr && errors->is_array()) {
        if (errors->get_array().empty() || !errors->get_array()[0].is_object()) return out;
        const json::object& first = errors->get_array()[0].get_object();
        std::string words;
        for (const char* const name : {"code", "message"}) {
            const json::value* part = first.if_contains(name);
            if (part == nullptr || !part->is_string()) continue;
            words += (words.empty() ? "" : ": ") + plain(std::string_view(part->get_string()));
        }
        return words.empty() ? out : fmt::format("{} ({})", out, words);
    }
    const json::value* one = object->if_contains("error");
    if (one != nullptr && one->is_string()) return fmt::format("{} ({})", out, plain(one->get_string()));
    return out;
}

bool pause(const std::stop_token& stop, milliseconds time) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
}

}  // namespace sutazai::fetch
