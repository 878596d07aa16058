#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "serve/caller.h"

namespace sutazai::http {

/// API keys, plain ones and those of administrators. Only their SHA-256 digests are kept, and each is compared in
/// constant time, so that neither the time taken nor the length tells anything about a key. Immutable.
class Auth {
  public:
    /// A key that is in both lists is an administrator's.
    Auth(const std::vector<std::string>& keys, const std::vector<std::string>& admin_keys);

    /// One key of either kind is enough for a key to be asked for.
    [[nodiscard]] bool required() const { return !keys_.empty(); }

    /// Takes the values of the headers Authorization ("Bearer <key>") and X-API-Key; empty ones were not sent.
    /// The tenant is a name made from the key's digest, the same for each request with that key.
    /// Without any keys everybody is a caller without a name. kUnauthorized when there are keys and neither header
    /// holds one of them.
    [[nodiscard]] Result<serve::Caller> check(std::string_view authorization, std::string_view api_key) const;

  private:
    struct Key {
        Digest digest;
        bool admin;
    };
    [[nodiscard]] std::optional<serve::Caller> caller_with(std::string_view key) const;

    std::vector<Key> keys_;
};

}  // namespace sutazai::http
