#include "base/utf8_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>

namespace sutazai {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string whole(std::string_view bytes) {
    Utf8Stream stream;
    std::string out;
    stream.append(bytes, out);
    stream.finish(out);
    return out;
}

// The reference: decodes by arithmetic on code points, with no state between bytes.
std::optional<std::size_t> character_at(std::string_view bytes, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    const std::uint8_t lead = byte(at);
    const std::size_t size = lead < 0x80   ? 1
                             : lead < 0xC0 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF8 ? 4
                                           : 0;
    if (size == 0 || at + size > bytes.size()) return {};
    std::uint32_t point = size == 1 ? lead : lead & (0x7FU >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(at + i) & 0xC0) != 0x80) return {};
        point = point << 6 | (byte(at + i) & 0x3F);
    }
    constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[size] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return {};
    return size;
}

// Could these bytes be the beginning of a character? Tried with every ending.
bool is_beginning(std::string_view bytes) {
    if (bytes.size() >= 4) return false;
    static std::map<std::string, bool, std::less<>> known;
    if (const auto found = known.find(bytes); found != known.end()) return found->second;
    bool beginning = false;
    for (int next = 0x80; next < 0xC0 && !beginning; ++next) {
        const std::string longer = std::string(bytes) + static_cast<char>(next);
        beginning = character_at(longer, 0) == longer.size() || is_beginning(longer);
    }
    return known[std::string(bytes)] = beginning;
}

std::string reference(std::string_view bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size();) {
        if (const auto size = character_at(bytes, i)) {
            out += bytes.substr(i, *size);
            i += *size;
            continue;
        }
        std::size_t part = 1;
        while (i + part < bytes.size() && is_beginning(bytes.substr(i, part + 1))) ++part;
        out += kReplacement;
        i += part;
    }
    return out;
}

TEST(Utf8Stream, HoldsACharacterUntilItIsWhole) {
    Utf8Stream stream;
    std::string out;
    stream.append("a\xF0\x9F", out);
    EXPECT_EQ(out, "a");
    EXPECT_TRUE(stream.has_tail());
    stream.append("\x99\x82z", out);
    EXPECT_EQ(out, "a🙂z");
    EXPECT_FALSE(stream.has_tail());
}

TEST(Utf8Stream, ReplacesWhatIsCertainlyWrong) {
    EXPECT_EQ(whole("\xC0\x80"), std::string(kReplacement) + std::string(kReplacement)) << "overlong";
    EXPECT_EQ(whole("\xE2\x82"), kReplacement) << "cut off";
    EXPECT_EQ(whole("\xE2\x82x"), std::string(kReplacement) + "x");
    EXPECT_EQ(whole("\xE2\xC3\xA9"), std::string(kReplacement) + "é");
    EXPECT_EQ(whole(std::string_view("\0", 1)), std::string_view("\0", 1));
}

// Every string of up to four bytes over an alphabet that holds each class of byte, cut at every place.
TEST(Utf8Stream, AgreesWithTheReferenceHoweverTheBytesAreCut) {
    constexpr std::array<char, 14> kAlphabet{'a',    '\x80', '\x8F', '\x90', '\x9F', '\xA0', '\xBF',
                                             '\xC1', '\xC3', '\xE0', '\xE2', '\xED', '\xF0', '\xF4'};
    std::string bytes;
    const auto visit = [&](auto& self, std::size_t left) -> void {
        const std::string expected = reference(bytes);
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            Utf8Stream stream;
            std::string out;
            stream.append(std::string_view(bytes).substr(0, cut), out);
            ASSERT_EQ(out, expected.substr(0, out.size())) << "released text is never taken back";
            stream.append(std::string_view(bytes).substr(cut), out);
            stream.finish(out);
            ASSERT_EQ(out, expected) << "cut at " << cut;
        }
        Utf8Stream stream;
        std::string out;
        for (const char byte : bytes) stream.append({&byte, 1}, out);
        stream.finish(out);
        ASSERT_EQ(out, expected) << "byte by byte";
        if (left == 0) return;
        for (const char byte : kAlphabet) {
            bytes.push_back(byte);
            self(self, left - 1);
            if (testing::Test::HasFatalFailure()) return;
            bytes.pop_back();
        }
    };
    visit(visit, 4);
}

TEST(Utf8Stream, PassesEveryCodePoint) {
    for (std::uint32_t point = 1; point <= 0x10FFFF; ++point) {
        if (point == 0xD800) point = 0xE000;
        std::string bytes;
        if (point < 0x80) {
            bytes = {static_cast<char>(point)};
        } else if (point < 0x800) {
            bytes = {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
        } else if (point < 0x10000) {
            bytes = {static_cast<char>(0xE0 | point >> 12), static_cast<char>(0x80 | (point >> 6 & 0x3F)),
                     static_cast<char>(0x80 | (point & 0x3F))};
        } else {
            bytes = {static_cast<char>(0xF0 | point >> 18), static_cast<char>(0x80 | (point >> 12 & 0x3F)),
                     static_cast<char>(0x80 | (point >> 6 & 0x3F)), static_cast<char>(0x80 | (point & 0x3F))};
        }
        ASSERT_EQ(whole(bytes), bytes) << std::hex << point;
    }
}

}  // namespace
}  // namespace sutazai
