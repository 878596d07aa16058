#pragma once

#include <chrono>
#include <cstdint>

namespace sutazai {

/// How far an engine has got with the prompt of one generation that has no token yet. Where the tokens that need not be
/// computed come from is settled when it begins.
struct PromptProgress {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t ready_tokens = 0;       ///< whose KV is there, computed or not
    std::uint32_t shared_tokens = 0;      ///< of them, from a request that was running
    std::uint32_t kept_tokens = 0;        ///< from what finished requests have left in the KV memory
    std::uint32_t host_tokens = 0;        ///< copied back from host memory
    std::uint32_t artifact_tokens = 0;    ///< from artifacts on disk
    std::chrono::microseconds queued{0};  ///< before it began

    bool operator==(const PromptProgress&) const = default;
    [[nodiscard]] std::uint32_t cached_tokens() const {
        return shared_tokens + kept_tokens + host_tokens + artifact_tokens;
    }
};

}  // namespace sutazai
