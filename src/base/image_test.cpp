#include "base/image.h"

#include <gtest/gtest.h>

#include <string>

namespace sutazai {
namespace {

using namespace std::string_literals;

std::string big(std::uint32_t value, int n) {
    std::string out;
    for (int i = n; i-- > 0;) out += static_cast<char>(value >> (8U * static_cast<unsigned>(i)) & 0xFFU);
    return out;
}
std::string little(std::uint32_t value, int n) {
    std::string out = big(value, n);
    return {out.rbegin(), out.rend()};
}

std::string png(std::uint32_t width, std::uint32_t height) {
    return "\x89PNG\r\n\x1a\n"s + big(13, 4) + "IHDR" + big(width, 4) + big(height, 4) + "\x08\x02\0\0\0"s;
}
std::string jpeg(std::uint32_t width, std::uint32_t height) {
    return "\xff\xd8\xff\xe0"s + big(6, 2) + "JFIF" + "\xff\xff\xc2"s + big(17, 2) + "\x08" + big(height, 2) +
           big(width, 2);
}
std::string gif(std::uint32_t width, std::uint32_t height) {
    return "GIF89a" + little(width, 2) + little(height, 2);
}
std::string bmp(std::uint32_t width, std::uint32_t height) {
    return "BM"s + std::string(12, '\0') + little(40, 4) + little(width, 4) + little(height, 4);
}

std::string refusal(const std::string& bytes) {
    const auto size = read_image_head(bytes);
    return size ? "taken" : size.error().message;
}

TEST(ImageHead, TellsTheSizeOfEachKind) {
    for (const std::string& bytes : {png(300, 200), jpeg(300, 200), gif(300, 200), bmp(300, 200)}) {
        const auto size = read_image_head(bytes);
        ASSERT_TRUE(size) << size.error().message;
        EXPECT_EQ(size->width, 300U);
        EXPECT_EQ(size->height, 200U);
    }
    // A BMP that is stored from the top down.
    EXPECT_EQ(read_image_head(bmp(30, 0U - 20U))->height, 20U);
}

TEST(ImageHead, RefusesWhatIsCutOffAtAnyByte) {
    for (const std::string& whole : {png(300, 200), jpeg(300, 200), gif(300, 200), bmp(300, 200)}) {
        const std::size_t n = whole.starts_with("\x89") ? 24 : whole.size();
        for (std::size_t end = 0; end < n; ++end) EXPECT_NE(refusal(whole.substr(0, end)), "taken") << end;
    }
}

TEST(ImageHead, RefusesWhatWouldTakeTooMuchMemory) {
    EXPECT_EQ(refusal(png(8192, 4096)), "taken");
    EXPECT_EQ(refusal(png(8192, 4097)), "is an image of 8192 x 4097 pixels; at most 33554432 are taken");
    EXPECT_EQ(refusal(png(0xFFFFFFFF, 0xFFFFFFFF)),
              "is an image of 4294967295 x 4294967295 pixels; at most 33554432 are taken");
    EXPECT_EQ(refusal(png(200, 1)), "taken");
    EXPECT_NE(refusal(png(201, 1)), "taken");
    EXPECT_EQ(refusal(png(0, 10)), "is an image without a size");
}

TEST(ImageHead, NamesWhatItDoesNotKnow) {
    EXPECT_EQ(refusal(""), "is empty");
    EXPECT_EQ(refusal("hello"), "is no image that is known here; PNG, JPEG, GIF and BMP are");
    EXPECT_NE(refusal("RIFF1234WEBPVP8 ").find("WebP"), std::string::npos);
    EXPECT_EQ(refusal("\xff\xd8\xff\xda"s + std::string(100, 'x')), "is an image without a size");
}

TEST(Image, HasItsDigest) {
    const auto one = make_image(png(3, 2));
    const auto other = make_image(png(2, 3));
    ASSERT_TRUE(one && other);
    EXPECT_EQ((*one)->digest, sha256(std::as_bytes(std::span((*one)->bytes))));
    EXPECT_NE(**one, **other);
    EXPECT_FALSE(make_image(png(2, 3) + std::string(kMostImageBytes, 'x')));
}

TEST(Base64, ReadsWhatItWrites) {
    for (std::size_t n = 0; n < 40; ++n) {
        std::string bytes;
        for (std::size_t i = 0; i < n; ++i) bytes += static_cast<char>(i * 37 + n);
        std::string text = to_base64(std::as_bytes(std::span(bytes)));
        EXPECT_EQ(from_base64(text), bytes);
        while (text.ends_with('=')) text.pop_back();
        EXPECT_EQ(from_base64(text), bytes);
    }
    for (const char* wrong : {"A", "AAAAA", "A===", "AA=A", "AA A", "AAA\n", "A-A_", "===="}) {
        EXPECT_FALSE(from_base64(wrong)) << wrong;
    }
}

}  // namespace
}  // namespace sutazai
