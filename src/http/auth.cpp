#include "http/auth.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cctype>

namespace sutazai::http {

namespace {

/// The token of "Bearer <token>", the scheme in any case; empty for anything else.
std::string_view bearer_token(std::string_view authorization) {
    constexpr std::string_view kScheme = "bearer ";
    if (authorization.size() <= kScheme.size()) return {};
    const bool same = std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, {},
                                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!same) return {};
    authorization.remove_prefix(kScheme.size());
    while (authorization.starts_with(' ')) authorization.remove_prefix(1);
    return authorization;
}

Digest digest_of(std::string_view key) {
    return sha256(std::as_bytes(std::span(key)));
}

}  // namespace

Auth::Auth(const std::vector<std::string>& keys, const std::vector<std::string>& admin_keys) {
    for (const std::string& key : keys) keys_.push_back({digest_of(key), false});
    for (const std::string& key : admin_keys) keys_.push_back({digest_of(key), true});
}

std::optional<serve::Caller> Auth::caller_with(std::string_view key) const {
    if (key.empty()) return std::nullopt;
    const Digest given = digest_of(key);
    bool known = false;
    bool admin = false;
    for (const Key& one : keys_) {
        const bool same = CRYPTO_memcmp(given.data(), one.digest.data(), given.size()) == 0;
        known |= same;
        admin |= same && one.admin;
    }
    if (!known) return std::nullopt;
    return serve::Caller{.tenant = to_hex(given), .admin = admin};
}

Result<serve::Caller> Auth::check(std::string_view authorization, std::string_view api_key) const {
    if (!required()) return serve::Caller{};
    if (auto caller = caller_with(bearer_token(authorization))) return std::move(*caller);
    if (auto caller = caller_with(api_key)) return std::move(*caller);
    if (authorization.empty() && api_key.empty()) {
        return fail(ErrorCode::kUnauthorized,
                    "An API key is needed: send it as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'.");
    }
    return fail(ErrorCode::kUnauthorized, "The API key is not valid.");
}

}  // namespace sutazai::http
