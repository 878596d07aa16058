#include "fetch/url.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

TEST(Url, IsReadAndWritten) {
    const auto url = parse_url("HTTPS://Example.ORG/a/b?x=1#part");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->host, "example.org");
    EXPECT_EQ(url->port, 443);
    EXPECT_EQ(url->text(), "https://example.org/a/b?x=1");
    EXPECT_EQ(url->shown(), "https://example.org/a/b") << "a query may hold a signature";
    EXPECT_EQ(parse_url("http://127.0.0.1:5000")->text(), "http://127.0.0.1:5000/");
    EXPECT_EQ(parse_url("https://[::1]:8443/x")->authority(), "[::1]:8443");
    EXPECT_EQ(parse_url("https://host:443/")->authority(), "host");
    EXPECT_EQ(parse_url("http://host:443/")->authority(), "host:443");
}

TEST(Url, OddAddressesBecomePlainOnes) {
    // As curl would connect to them.
    for (const char* const text : {"http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/"}) {
        const auto url = parse_url(text);
        ASSERT_TRUE(url) << text;
        EXPECT_EQ(url->host, "127.0.0.1") << text;
    }
}

TEST(Url, OthersAreRefused) {
    for (const char* const text :
         {"", "example.org/a", "ftp://example.org/", "file:///etc/passwd", "https://", "https://user@example.org/",
          "https://user:pass@example.org/", "https://a b/", "https://example.org/\r\nX: y", "https://example.org:0/",
          "https://example.org:99999/", "//example.org/", "https://example.org/\xc3\xa4"}) {
        EXPECT_FALSE(parse_url(text)) << text;
    }
    EXPECT_FALSE(parse_url("https://example.org/" + std::string(20000, 'x')));
}

TEST(Url, RedirectsAreResolved) {
    const auto base = parse_url("https://a.example/v2/x/blobs/1?q=2");
    ASSERT_TRUE(base);
    EXPECT_EQ(resolve_url(*base, "/y")->text(), "https://a.example/y");
    EXPECT_EQ(resolve_url(*base, "2?t=3")->text(), "https://a.example/v2/x/blobs/2?t=3");
    EXPECT_EQ(resolve_url(*base, "//b.example/z")->text(), "https://b.example/z");
    EXPECT_EQ(resolve_url(*base, "http://c.example:81/")->text(), "http://c.example:81/");
    EXPECT_FALSE(resolve_url(*base, "file:///etc/passwd"));
    EXPECT_FALSE(resolve_url(*base, "https://u:p@a.example/"));
    EXPECT_TRUE(base->has_origin_of(*resolve_url(*base, "/y")));
    EXPECT_FALSE(base->has_origin_of(*parse_url("https://a.example:444/")));
}

TEST(Url, AHostIsNotWhatPercentsMakeOfIt) {
    EXPECT_FALSE(parse_url("https://%f3m01f-"));
    EXPECT_FALSE(parse_url("https://a%2fb/"));
    EXPECT_FALSE(parse_url("https://a%00b/"));
}

}  // namespace
}  // namespace sutazai::fetch
