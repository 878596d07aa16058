#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sutazai {

/// Turns bytes that arrive in arbitrary pieces into whole UTF-8 characters. A character that is cut off at the end of a
/// piece waits for its rest. What can no longer become a character is replaced by U+FFFD, one for each maximal
/// subpart (the WHATWG decoder's rule), so that the result does not depend on how the bytes were cut. Pure; one user at
/// a time; 12 bytes of state.
class Utf8Stream {
  public:
    /// Appends to `out` the characters that are whole now.
    void append(std::string_view bytes, std::string& out);

    /// The bytes have ended: a character still cut off becomes U+FFFD. The stream is as new afterwards.
    void finish(std::string& out);

    [[nodiscard]] bool has_tail() const { return missing_ > 0; }  ///< is a character waiting for its rest

  private:
    std::array<char, 4> tail_{};
    std::uint8_t tail_size_ = 0;
    std::uint8_t missing_ = 0;    // bytes until tail_ is whole
    std::uint8_t lowest_ = 0x80;  // range of the next byte, which excludes overlong forms, surrogates and > U+10FFFF
    std::uint8_t highest_ = 0xBF;
};

}  // namespace sutazai
