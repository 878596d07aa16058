#include "http/content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "http/testing/test_client.h"

namespace sutazai::http {
namespace {

/// Without a budget.
Result<std::string> decoded(std::string_view compressed, std::size_t most_bytes) {
    const auto body = gunzip(compressed, most_bytes, {});
    if (!body) return std::unexpected(body.error());
    return std::string(body->text());
}

TEST(ContentCoding, GzipComesBackAsItWas) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += std::to_string(i);
    for (const std::string& one : {std::string("{}"), std::string(), text}) {
        const auto back = decoded(gzip_text(one), one.size() + 10);
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, one);
    }
    EXPECT_EQ(decoded(gzip_text("first ") + gzip_text("second"), 100).value(), "first second") << "several members";
}

TEST(ContentCoding, NoMoreIsDecodedThanIsAllowed) {
    const std::string text(100'000, 'x');
    EXPECT_EQ(decoded(gzip_text(text), 100'000).value(), text) << "just fits";
    const auto over = decoded(gzip_text(text), 99'999);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, ErrorCode::kPayloadTooLarge);
    EXPECT_NE(over.error().message.find("99999"), std::string::npos);
    // A bomb: a thousand times its size, and many of them in a row.
    std::string bombs;
    for (int i = 0; i < 100; ++i) bombs += gzip_text(std::string(1 << 20, '\0'));
    EXPECT_EQ(decoded(bombs, 1 << 20).error().code, ErrorCode::kPayloadTooLarge);
}

TEST(ContentCoding, WhatIsDecodedIsCharged) {
    const BodyBudget budget(1 << 20);
    const std::string compressed = gzip_text(std::string(1 << 20, 'x'));
    {
        const auto first = gunzip(compressed, 2 << 20, HeldBody(budget));
        ASSERT_TRUE(first) << first.error().message;
        EXPECT_EQ(budget.charged_bytes(), (1 << 20) - BodyBudget::kFreeBytes);
        const auto second = gunzip(compressed, 2 << 20, HeldBody(budget));
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(second.error().retry_after_s, 1);
        EXPECT_TRUE(gunzip(gzip_text("{}"), 2 << 20, HeldBody(budget))) << "small ones are let in always";
    }
    EXPECT_EQ(budget.charged_bytes(), 0);
}

TEST(ContentCoding, WhatIsDamagedIsRefused) {
    const std::string good = gzip_text(std::string(5000, 'x') + "end");
    std::string bad_checksum = good;
    bad_checksum[bad_checksum.size() - 8] ^= 1;
    for (const std::string& bad : {std::string(), std::string("{}"), good.substr(0, good.size() - 1), good.substr(0, 9),
                                   good + "rest", good.substr(1), bad_checksum}) {
        const auto refused = decoded(bad, 1 << 20);
        ASSERT_FALSE(refused) << bad.size();
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error().field, "Content-Encoding");
    }
}

TEST(ContentCoding, OthersAreRefusedByName) {
    for (const char* good : {"", "gzip", "GZIP", "x-gzip", "identity", "Identity"}) {
        EXPECT_TRUE(check_content_encoding(good)) << good;
    }
    EXPECT_TRUE(is_gzip("X-GZip"));
    EXPECT_FALSE(is_gzip("identity"));
    for (const char* bad : {"br", "deflate", "zstd", "gzip, gzip", "gzip, br", "compress"}) {
        const auto refused = check_content_encoding(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::kUnsupportedMedia);
        EXPECT_NE(refused.error().message.find(bad), std::string::npos);
    }
}

}  // namespace
}  // namespace sutazai::http
