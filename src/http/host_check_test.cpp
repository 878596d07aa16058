#include "http/host_check.h"

#include <gtest/gtest.h>

namespace sutazai::http {
namespace {

config::Settings bound_to(std::string host) {
    config::Settings settings;
    settings.host = std::move(host);
    return settings;
}

std::string verdict(const HostCheck& check, std::string_view host) {
    const auto result = check.check_host(host);
    if (result) return "allowed";
    return result.error().code == ErrorCode::kForbidden ? "forbidden" : "malformed";
}

TEST(HostCheck, LoopbackNamesAlwaysPass) {
    const HostCheck check(bound_to("127.0.0.1"));
    for (const char* host :
         {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:80"}) {
        EXPECT_EQ(verdict(check, host), "allowed") << host;
    }
}

TEST(HostCheck, OtherNamesDoNot) {
    const HostCheck check(bound_to("127.0.0.1"));
    for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.evil", "10.0.0.1",
                             "[2001:db8::1]", "0.0.0.0", "evil.example:8080"}) {
        EXPECT_EQ(verdict(check, host), "forbidden") << host;
    }
}

TEST(HostCheck, MalformedNamesAreNotGuessedAt) {
    const HostCheck check(bound_to("127.0.0.1"));
    for (const char* host : {"", " ", "local host", "localhost:", "localhost:abc", "localhost:123456", "[::1", "[::1]x",
                             "[evil]", "a@localhost", "localhost,evil", ":80", "localhost:80:80"}) {
        // "localhost:" is allowed by RFC 9110 (an empty port) and harmless.
        EXPECT_EQ(verdict(check, host), std::string_view(host) == "localhost:" ? "allowed" : "malformed") << host;
    }
}

TEST(HostCheck, NamesOfTheSettingsPass) {
    config::Settings settings = bound_to("192.168.0.7");
    settings.allowed_hosts = {"Models.Example", "one.example:8443", "2001:db8::1", "10.1.2.3.nip.example"};
    const HostCheck check(settings);
    EXPECT_EQ(verdict(check, "192.168.0.7:8080"), "allowed");
    EXPECT_EQ(verdict(check, "192.168.0.8:8080"), "forbidden");
    EXPECT_EQ(verdict(check, "models.example:1234"), "allowed");
    EXPECT_EQ(verdict(check, "one.example:8443"), "allowed");
    EXPECT_EQ(verdict(check, "one.example:80"), "forbidden");
    EXPECT_EQ(verdict(check, "[2001:DB8::1]:80"), "allowed");
    EXPECT_EQ(verdict(check, "[2001:db8:0:0::1]"), "allowed") << "the same address";
    EXPECT_EQ(verdict(check, "10.1.2.3.nip.example:80"), "allowed");
}

TEST(HostCheck, AWildcardAddressTakesIpLiteralsButNoNames) {
    for (const char* wildcard : {"0.0.0.0", "::"}) {
        const HostCheck check(bound_to(wildcard));
        EXPECT_EQ(verdict(check, "10.1.2.3:8080"), "allowed");
        EXPECT_EQ(verdict(check, "[2001:db8::1]:8080"), "allowed");
        EXPECT_EQ(verdict(check, "rebound.evil.example"), "forbidden");
        EXPECT_EQ(verdict(check, "10.1.2.3.evil.example"), "forbidden");
    }
}

TEST(HostCheck, OriginsAreTheHostItselfOrListed) {
    config::Settings settings = bound_to("127.0.0.1");
    settings.allowed_origins = {"https://app.example", "http://localhost:3000/"};
    const HostCheck check(settings);
    EXPECT_TRUE(check.check_origin("", "localhost:8080")) << "not a browser";
    EXPECT_TRUE(check.check_origin("http://localhost:8080", "localhost:8080"));
    EXPECT_TRUE(check.check_origin("https://LOCALHOST:8080", "localhost:8080"));
    EXPECT_TRUE(check.check_origin("https://App.example", "localhost:8080"));
    EXPECT_TRUE(check.check_origin("http://localhost:3000", "localhost:8080"));
    for (const char* origin : {"null", "http://localhost:8081", "http://evil.example", "http://app.example",
                               "localhost:8080", "https://app.example.evil"}) {
        EXPECT_FALSE(check.check_origin(origin, "localhost:8080")) << origin;
        EXPECT_FALSE(check.is_listed_origin(origin)) << origin;
    }
    EXPECT_TRUE(check.is_listed_origin("https://app.example"));
    EXPECT_FALSE(check.is_listed_origin("http://localhost:8080")) << "needs no CORS";
}

TEST(HostCheck, AStarListsEveryOrigin) {
    config::Settings settings = bound_to("127.0.0.1");
    settings.allowed_origins = {"*"};
    const HostCheck check(settings);
    EXPECT_TRUE(check.check_origin("http://any.example", "localhost"));
    EXPECT_TRUE(check.is_listed_origin("http://any.example"));
    EXPECT_FALSE(check.is_listed_origin(""));
}

}  // namespace
}  // namespace sutazai::http
