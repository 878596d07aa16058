#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sutazai::http {

/// What the bodies of all connections may take of memory together, from their first byte until their requests have been
/// parsed. Memory is charged when bytes are there to fill it, not when they are promised: a Content-Length costs who
/// sends it nothing, so it must not cost others anything (docs/decisions/0030-bodies-and-connections.md). Any thread.
class BodyBudget {
  public:
    /// Of each body these are not charged: small ones are let in always, within the limit of connections.
    static constexpr std::size_t kFreeBytes = 64 << 10;

    explicit BodyBudget(std::uint64_t most_bytes);

    /// Whether a body of this size could be held as things are. Nothing is set aside for it.
    [[nodiscard]] bool has_room_for(std::uint64_t body_bytes) const;
    [[nodiscard]] std::uint64_t charged_bytes() const;

  private:
    friend class HeldBody;
    struct Books;
    std::shared_ptr<Books> books_;
};

/// The bytes of one body, as long as they are held. They may outlive their budget: work that nobody waits for any more
/// holds them to its end. One thread at a time.
class HeldBody {
  public:
    HeldBody() = default;  ///< of no budget: takes what it is given
    explicit HeldBody(const BodyBudget& budget) : books_(budget.books_) {}
    HeldBody(HeldBody&& other) noexcept;
    HeldBody& operator=(HeldBody&& other) noexcept;
    ~HeldBody();

    /// False, and nothing is changed, when the budget has no room for it. The body will not get longer than
    /// `most_bytes`.
    [[nodiscard]] bool append(std::string_view bytes, std::size_t most_bytes);

    [[nodiscard]] std::string_view text() const { return text_; }
    /// An empty one of the same budget.
    [[nodiscard]] HeldBody sibling() const;

  private:
    bool charge(std::size_t capacity);

    std::shared_ptr<BodyBudget::Books> books_;
    std::uint64_t charged_bytes_ = 0;
    std::string text_;
};

/// Why append() said no, for the client.
[[nodiscard]] Error no_room_for_body();

}  // namespace sutazai::http
