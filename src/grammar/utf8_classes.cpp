#include "grammar/utf8_classes.h"

#include <array>
#include <cstdint>
#include <unordered_map>

namespace sutazai::grammar {

namespace {

struct Bytes {
    std::array<unsigned char, 4> at{};
    std::size_t size = 0;
};

Bytes encode(char32_t c) {
    const auto tail = [c](int shift) { return static_cast<unsigned char>(0x80U | ((c >> shift) & 0x3FU)); };
    if (c < 0x80) return {{static_cast<unsigned char>(c)}, 1};
    if (c < 0x800) return {{static_cast<unsigned char>(0xC0U | (c >> 6)), tail(0)}, 2};
    if (c < 0x10000) return {{static_cast<unsigned char>(0xE0U | (c >> 12)), tail(6), tail(0)}, 3};
    return {{static_cast<unsigned char>(0xF0U | (c >> 18)), tail(12), tail(6), tail(0)}, 4};
}

ByteSet from_to(unsigned char first, unsigned char last) {
    ByteSet set;
    for (unsigned byte = first; byte <= last; ++byte) set.set(byte);
    return set;
}

/// Characters whose bytes lie between those of two, byte by byte.
struct Run {
    Bytes low, high;

    /// All but the first byte, as a number.
    [[nodiscard]] std::uint64_t tail() const {
        std::uint64_t tail = low.size;
        for (std::size_t i = 1; i < low.size; ++i) tail = (tail << 16) | (std::uint64_t{low.at[i]} << 8) | high.at[i];
        return tail;
    }
};

/// Cuts a range until only whole blocks of continuation bytes differ: then it is one run of byte ranges.
void cut(char32_t first, char32_t last, std::vector<Run>& out) {
    for (const char32_t end : {0x7FU, 0x7FFU, 0xFFFFU}) {
        if (first <= end && end < last) {
            cut(first, end, out);
            cut(end + 1, last, out);
            return;
        }
    }
    for (unsigned n = 1; n < encode(first).size; ++n) {
        const char32_t block = (char32_t{1} << (6 * n)) - 1;
        if ((first & ~block) == (last & ~block)) continue;
        if ((first & block) != 0) {
            cut(first, first | block, out);
            cut((first | block) + 1, last, out);
            return;
        }
        if ((last & block) != block) {
            cut(first, (last & ~block) - 1, out);
            cut(last & ~block, last, out);
            return;
        }
    }
    out.push_back({encode(first), encode(last)});
}

}  // namespace

std::vector<std::vector<ByteSet>> utf8_of(const CharClass& set) {
    std::vector<Run> runs;
    for (const CharRange& range : set) cut(range.first, range.last, runs);
    // All single bytes are one set, and so are first bytes that the same bytes follow.
    std::vector<std::vector<ByteSet>> merged;
    std::unordered_map<std::uint64_t, std::size_t> by_tail;
    for (const Run& run : runs) {
        const ByteSet first = from_to(run.low.at[0], run.high.at[0]);
        const auto [same, is_new] = by_tail.try_emplace(run.tail(), merged.size());
        if (!is_new) {
            merged[same->second].front() |= first;
            continue;
        }
        std::vector<ByteSet>& sets = merged.emplace_back();
        sets.reserve(run.low.size);
        sets.push_back(first);
        for (std::size_t i = 1; i < run.low.size; ++i) sets.push_back(from_to(run.low.at[i], run.high.at[i]));
    }
    return merged;
}

void append_utf8(char32_t character, std::string& out) {
    const Bytes bytes = encode(character);
    for (std::size_t i = 0; i < bytes.size; ++i) out.push_back(static_cast<char>(bytes.at[i]));
}

std::u32string characters_of(std::string_view utf8) {
    std::u32string out;
    for (std::size_t i = 0; i < utf8.size();) {
        const auto lead = static_cast<unsigned char>(utf8[i++]);
        const unsigned n_tail = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
        char32_t c = n_tail == 0 ? lead : lead & (0x3FU >> n_tail);
        for (unsigned n = 0; n < n_tail && i < utf8.size(); ++n) {
            c = (c << 6) | (static_cast<unsigned char>(utf8[i++]) & 0x3FU);
        }
        out.push_back(c);
    }
    return out;
}

}  // namespace sutazai::grammar
