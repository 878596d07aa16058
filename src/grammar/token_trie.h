#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sutazai::grammar {

/// The texts of a vocabulary as a tree of bytes, in the order in which a walk meets them. Constant once made.
class TokenTrie {
  public:
    struct Node {
        std::uint32_t end;     ///< where its subtree ends: the next node that is not below it
        std::uint32_t tokens;  ///< in tokens(), where those that end here begin; they end where the next node's begin
        std::uint16_t depth;   ///< bytes up to here, this one included
        std::uint8_t byte;
    };

    /// `texts` by token; one without a text is never met.
    explicit TokenTrie(std::vector<std::string> texts);

    [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }  ///< with one more at the end
    [[nodiscard]] const std::vector<std::int32_t>& tokens() const { return tokens_; }
    [[nodiscard]] std::size_t deepest() const { return deepest_; }
    [[nodiscard]] std::size_t size() const { return texts_.size(); }
    /// Empty when the token has none.
    [[nodiscard]] std::string_view text(std::int32_t token) const { return texts_[static_cast<std::size_t>(token)]; }

  private:
    std::vector<std::string> texts_;
    std::vector<Node> nodes_;
    std::vector<std::int32_t> tokens_;
    std::size_t deepest_ = 0;
};

}  // namespace sutazai::grammar
