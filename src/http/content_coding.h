#pragma once

#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "http/held_body.h"

/// Content-Encoding of request bodies. Pure.
namespace sutazai::http {

[[nodiscard]] bool is_gzip(std::string_view content_encoding);  ///< gzip, or x-gzip, its old name

/// kUnsupportedMedia, naming it, for every coding but gzip and identity (which is none).
[[nodiscard]] Result<void> check_content_encoding(std::string_view content_encoding);

/// What was compressed, of one or more gzip members, put into `empty`. kPayloadTooLarge as soon as it is over
/// `most_bytes` (no more than that is ever held), kUnavailable when the budget of `empty` has no room for it,
/// kInvalidArgument for what is damaged, cut short or followed by something else.
[[nodiscard]] Result<HeldBody> gunzip(std::string_view compressed, std::size_t most_bytes, HeldBody empty);

}  // namespace sutazai::http
