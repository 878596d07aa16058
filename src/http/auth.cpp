#include "http/auth.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>

#include <iterator>

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

}  // namespace

Auth::Auth(const std::vector<std::string>& keys) {
    digests_.reserve(keys.size());
    for (const std::string& key : keys) digests_.push_back(digest(key));
}

Auth::Digest Auth::digest(std::string_view key) {
    Digest result{};
    SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), result.data());
    return result;
}

bool Auth::is_known(std::string_view key) const {
    const Digest given = digest(key);
    bool known = false;
    for (const Digest& digest : digests_) {
        known |= CRYPTO_memcmp(given.data(), digest.data(), digest.size()) == 0;
    }
    return known;
}

std::string Auth::tenant_of(std::string_view key) {
    std::string name;
    for (const unsigned char byte : digest(key)) fmt::format_to(std::back_inserter(name), "{:02x}", byte);
    return name;
}

Result<std::string> Auth::check(std::string_view authorization, std::string_view api_key) const {
    if (!required()) return std::string();
    const std::string_view bearer = bearer_token(authorization);
    if (!bearer.empty() && is_known(bearer)) return tenant_of(bearer);
    if (!api_key.empty() && is_known(api_key)) return tenant_of(api_key);
    if (authorization.empty() && api_key.empty()) {
        return fail(ErrorCode::kUnauthorized,
                    "An API key is needed: send it as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'.");
    }
    return fail(ErrorCode::kUnauthorized, "The API key is not valid.");
}

}  // namespace sutazai::http
