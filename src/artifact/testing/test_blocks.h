#pragma once

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "artifact/block.h"
#include "artifact/fingerprint.h"
#include "artifact/folder.h"

/// What the tests of this module share.
namespace sutazai::artifact::testing {

inline UnixTime at(std::int64_t seconds) {
    return UnixTime(std::chrono::seconds(seconds));
}
inline constexpr std::int64_t kNow = 1'800'000'000;

/// A folder that goes when this goes.
class TempFolder {
  public:
    explicit TempFolder(const std::filesystem::path& above = std::filesystem::temp_directory_path()) {
        std::string name = (above / "sutazai-artifact-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    ~TempFolder() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

inline FingerprintParts parts_of(std::string architecture = "qwen2", std::string type_k = "f16") {
    FingerprintParts parts;
    for (std::size_t i = 0; i < parts.weights.size(); ++i) parts.weights.at(i) = static_cast<std::byte>(i);
    parts.architecture = std::move(architecture);
    parts.type_k = std::move(type_k);
    parts.type_v = "f16";
    parts.flash_attention = true;
    parts.n_layer = 24;
    parts.n_head = 14;
    parts.n_head_kv = 2;
    parts.n_embd = 896;
    parts.n_embd_k = parts.n_embd_v = 128;
    parts.rope_type = "neox";
    parts.rope_scaling = "none";
    parts.rope_freq_base = 1e6F;
    parts.rope_freq_scale = 1;
    parts.llama_version = "v0.5.0";
    parts.llama_state_version = 2;
    return parts;
}

inline std::vector<std::byte> random_bytes(std::size_t n, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(n);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

inline std::vector<Token> tokens_of(int n, int seed) {
    std::vector<Token> tokens(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) tokens[static_cast<std::size_t>(i)] = (i * 7919 + seed * 104729) % 150000;
    return tokens;
}

/// The infos of a chain's blocks.
inline std::vector<BlockInfo> chain_of(const Fingerprint& fingerprint, const std::vector<Token>& tokens) {
    std::vector<BlockInfo> infos;
    for (const ChainBlock& block : chain_blocks(chain_root(fingerprint.digest(), ""), tokens, true)) {
        BlockInfo info;
        info.fingerprint = fingerprint.digest();
        info.parent = block.parent;
        info.hash = block.hash;
        info.first = block.first;
        info.tokens.assign(tokens.begin() + block.first, tokens.begin() + block.first + block.n_tokens);
        info.compute_us = static_cast<std::uint64_t>(block.n_tokens) * 2500;
        infos.push_back(std::move(info));
    }
    return infos;
}

inline BlockInfo single(const Fingerprint& fingerprint, int seed, int n_tokens = 8) {
    return chain_of(fingerprint, tokens_of(n_tokens, seed)).front();
}

inline std::vector<std::byte> file_of(const EncodedBlock& encoded) {
    std::vector<std::byte> bytes = encoded.head;
    bytes.insert(bytes.end(), encoded.stored.begin(), encoded.stored.end());
    return bytes;
}

inline Buffer buffer_of(Bytes bytes) {
    Buffer buffer(bytes.size());
    std::copy(bytes.begin(), bytes.end(), buffer.span().begin());
    return buffer;
}

}  // namespace sutazai::artifact::testing
