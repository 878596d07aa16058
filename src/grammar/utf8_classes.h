#pragma once

#include <bitset>
#include <vector>

#include "grammar/expression.h"

namespace sutazai::grammar {

using ByteSet = std::bitset<256>;

/// A character class in bytes: any of these, each a run of one to four bytes from one set after the other.
[[nodiscard]] std::vector<std::vector<ByteSet>> utf8_of(const CharClass& set);

/// Appends a character's bytes.
void append_utf8(char32_t character, std::string& out);

/// The characters of valid UTF-8.
[[nodiscard]] std::u32string characters_of(std::string_view utf8);

}  // namespace sutazai::grammar
