#include "base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace sutazai {

struct Sha256::Impl {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    Impl() = default;
    ~Impl() { EVP_MD_CTX_free(context); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
    // Fetching the algorithm by name at each use would cost more than the sum over a block's tokens.
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (impl_->context == nullptr || algorithm == nullptr ||
        EVP_DigestInit_ex2(impl_->context, algorithm, nullptr) != 1) {
        throw std::runtime_error("OpenSSL has no SHA-256");
    }
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(Bytes bytes) {
    EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

void Sha256::add_u32(std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) = static_cast<std::byte>(value >> (8 * i));
    add(Bytes(bytes));
}

void Sha256::add_u64(std::uint64_t value) {
    add_u32(static_cast<std::uint32_t>(value));
    add_u32(static_cast<std::uint32_t>(value >> 32U));
}

Digest Sha256::finish() {
    Digest digest{};
    EVP_DigestFinal_ex(impl_->context, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
}

Digest sha256(Bytes bytes) {
    Sha256 sum;
    sum.add(bytes);
    return sum.finish();
}

std::string to_hex(Bytes bytes) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    hex.reserve(2 * bytes.size());
    for (const std::byte byte : bytes) {
        hex += kDigits[std::to_integer<unsigned>(byte) >> 4U];
        hex += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return hex;
}

std::optional<Digest> digest_from_hex(std::string_view hex) {
    Digest digest{};
    if (hex.size() != 2 * digest.size()) return std::nullopt;
    for (std::size_t i = 0; i < hex.size(); ++i) {
        const char c = hex[i];
        unsigned value = 0;
        if (c >= '0' && c <= '9') {
            value = static_cast<unsigned>(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = static_cast<unsigned>(c - 'a') + 10;
        } else {
            return std::nullopt;
        }
        digest.at(i / 2) = digest.at(i / 2) << 4U | static_cast<std::byte>(value);
    }
    return digest;
}

std::string to_base64(Bytes bytes) {
    // OpenSSL counts in int, and writes a zero behind the text.
    constexpr std::size_t kMost = std::size_t{3} << 20;
    std::string out;
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kMost))) {
        const Bytes piece = bytes.first(std::min(bytes.size(), kMost));
        const std::size_t start = out.size();
        out.resize(start + (piece.size() + 2) / 3 * 4 + 1);
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(&out[start]),
                        reinterpret_cast<const unsigned char*>(piece.data()), static_cast<int>(piece.size()));
        out.pop_back();
    }
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    static constexpr auto kValues = [] {
        std::array<std::int8_t, 256> values{};
        values.fill(-1);
        constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
            values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
        }
        return values;
    }();
    if (text.size() % 4 == 0) {
        for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    int n_bits = 0;
    for (const char c : text) {
        const int value = kValues[static_cast<unsigned char>(c)];
        if (value < 0) return std::nullopt;
        bits = bits << 6U | static_cast<std::uint32_t>(value);
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out += static_cast<char>(bits >> static_cast<unsigned>(n_bits) & 0xFFU);
    }
    return out;
}

}  // namespace sutazai
