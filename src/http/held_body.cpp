#include "http/held_body.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace sutazai::http {

namespace {

constexpr std::size_t kFirstBytes = 4 << 10;

std::uint64_t beyond_free(std::uint64_t bytes) {
    return bytes > BodyBudget::kFreeBytes ? bytes - BodyBudget::kFreeBytes : 0;
}

}  // namespace

struct BodyBudget::Books {
    const std::uint64_t most_bytes;
    std::atomic<std::uint64_t> charged_bytes = 0;

    bool charge(std::uint64_t bytes) {
        std::uint64_t charged = charged_bytes;
        do {
            if (bytes > most_bytes - charged) return false;
        } while (!charged_bytes.compare_exchange_weak(charged, charged + bytes));
        return true;
    }
};

BodyBudget::BodyBudget(std::uint64_t most_bytes) : books_(std::make_shared<Books>(most_bytes)) {}

bool BodyBudget::has_room_for(std::uint64_t body_bytes) const {
    return beyond_free(body_bytes) <= books_->most_bytes - books_->charged_bytes;
}

std::uint64_t BodyBudget::charged_bytes() const {
    return books_->charged_bytes;
}

HeldBody::HeldBody(HeldBody&& other) noexcept
    : books_(std::move(other.books_)),
      charged_bytes_(std::exchange(other.charged_bytes_, 0)),
      text_(std::exchange(other.text_, {})) {}

HeldBody& HeldBody::operator=(HeldBody&& other) noexcept {
    HeldBody taken(std::move(other));
    std::swap(books_, taken.books_);
    std::swap(charged_bytes_, taken.charged_bytes_);
    std::swap(text_, taken.text_);
    return *this;
}

HeldBody::~HeldBody() {
    if (charged_bytes_ == 0) return;
    text_ = {};
    books_->charged_bytes -= charged_bytes_;
}

bool HeldBody::append(std::string_view bytes, std::size_t most_bytes) {
    const std::size_t size = text_.size() + bytes.size();
    if (size > text_.capacity()) {
        const std::size_t capacity = std::max(size, std::min(std::max(2 * text_.capacity(), kFirstBytes), most_bytes));
        if (!charge(capacity)) return false;
        std::string grown;
        grown.reserve(capacity);  // of a new string, as one that grows may take more than it is asked to
        grown += text_;
        text_ = std::move(grown);
    }
    text_ += bytes;
    return true;
}

bool HeldBody::charge(std::size_t capacity) {
    const std::uint64_t more = beyond_free(capacity) - charged_bytes_;
    if (more == 0 || books_ == nullptr) return true;
    if (!books_->charge(more)) return false;
    charged_bytes_ += more;
    return true;
}

HeldBody HeldBody::sibling() const {
    HeldBody body;
    body.books_ = books_;
    return body;
}

Error no_room_for_body() {
    return {ErrorCode::kUnavailable,
            "The bodies of other requests take all the memory that bodies may take (BODY_MEMORY_BYTES); try again.",
            {},
            1};
}

}  // namespace sutazai::http
