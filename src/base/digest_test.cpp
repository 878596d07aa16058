#include "base/digest.h"

#include <gtest/gtest.h>

namespace sutazai {
namespace {

Bytes bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST(Digest, IsThatOfTheStandard) {
    const std::string expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    EXPECT_EQ(to_hex(sha256(bytes_of("abc"))), expected);
    EXPECT_EQ(digest_from_hex(expected), sha256(bytes_of("abc")));
    for (const std::string& wrong : {expected.substr(1), expected + "0", "B" + expected.substr(1)}) {
        EXPECT_FALSE(digest_from_hex(wrong)) << wrong;
    }
}

TEST(Base64, IsThatOfTheStandard) {
    EXPECT_EQ(to_base64({}), "");
    EXPECT_EQ(to_base64(bytes_of("f")), "Zg==");
    EXPECT_EQ(to_base64(bytes_of("fo")), "Zm8=");
    EXPECT_EQ(to_base64(bytes_of("foobar")), "Zm9vYmFy");
    const std::string large(std::size_t{7} << 20, 'f');
    const std::string text = to_base64(bytes_of(large));
    EXPECT_EQ(text.size(), (large.size() + 2) / 3 * 4);
    EXPECT_EQ(text.find_first_not_of("Zmg="), std::string::npos);
    EXPECT_TRUE(text.ends_with("Zg=="));
}

}  // namespace
}  // namespace sutazai
