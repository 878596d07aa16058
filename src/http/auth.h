#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sutazai::http {

/// API keys. Only their SHA-256 digests are kept, and each is compared in constant time, so that neither the time taken
/// nor the length tells anything about a key. Immutable.
class Auth {
  public:
    explicit Auth(const std::vector<std::string>& keys);

    [[nodiscard]] bool required() const { return !digests_.empty(); }

    /// Takes the values of the headers Authorization ("Bearer <key>") and X-API-Key; empty ones were not sent. Gives
    /// the tenant: a name made from the key's digest, the same for each request with that key, empty when no keys are
    /// set. kUnauthorized when keys are set and neither header holds one of them.
    [[nodiscard]] Result<std::string> check(std::string_view authorization, std::string_view api_key) const;

  private:
    using Digest = std::array<unsigned char, 32>;
    [[nodiscard]] static Digest digest(std::string_view key);
    [[nodiscard]] static std::string tenant_of(std::string_view key);
    [[nodiscard]] bool is_known(std::string_view key) const;

    std::vector<Digest> digests_;
};

}  // namespace sutazai::http
