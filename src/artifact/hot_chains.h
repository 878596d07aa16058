#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/chain.h"

/// Which reused prefixes become artifacts next. Pure; one thread.
namespace sutazai::artifact {

/// A chain of whole blocks that somebody has used again and that is to be written.
struct HotChain {
    std::string salt;
    std::vector<Token> tokens;
    std::uint32_t uses = 1;
    std::int64_t last_use_s = 0;
    std::size_t n_done = 0;  ///< tokens whose blocks have been looked at

    [[nodiscard]] bool done() const { return n_done >= tokens.size(); }
    /// The chain up to the end of the block that is next.
    [[nodiscard]] std::span<const Token> next() const {
        return std::span<const Token>(tokens).first(n_done + kBlockTokens);
    }
};

/// What a token costs of either, as measured.
struct TokenCost {
    double compute_us = 0;
    double bytes = 0;
};

/// A bounded set of hot chains. Writing goes by value (value.h): reuse x what computing costs / bytes, fading with
/// time.
class HotChains {
  public:
    explicit HotChains(std::size_t most) : most_(most) {}

    /// A whole-block chain was used again. One that begins with a chain that is here, or that one here begins with, is
    /// the same need: it counts there. With no room, the least valuable makes way, which may be the new one.
    void note(std::string_view salt, std::span<const Token> chain, std::int64_t now_s, TokenCost cost);

    [[nodiscard]] bool empty() const { return chains_.empty(); }
    [[nodiscard]] std::size_t size() const { return chains_.size(); }
    /// The most valuable; not empty(). Valid until the next note() or drop().
    [[nodiscard]] HotChain& best(std::int64_t now_s, TokenCost cost);
    /// Done with, or of no use any more. A reference from best().
    void drop(const HotChain& chain);

  private:
    std::size_t most_;
    std::vector<HotChain> chains_;
};

}  // namespace sutazai::artifact
