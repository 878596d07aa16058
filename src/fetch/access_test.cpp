#include "fetch/access.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

Url url(const char* text) {
    return *parse_url(text);
}

Access usual() {
    Access access;
    access.hosts = {"registry.ollama.ai", "hf.co", "own.example:8443"};
    return access;
}

TEST(Access, BeginsOnlyAtHostsOfTheList) {
    Access access = usual();
    EXPECT_TRUE(access.check_start(url("https://registry.ollama.ai/v2/")));
    EXPECT_TRUE(access.check_start(url("https://REGISTRY.ollama.ai:443/v2/")));
    EXPECT_TRUE(access.check_start(url("https://own.example:8443/")));
    for (const char* const other : {"https://own.example/", "https://evil.example/", "https://registry.ollama.ai:444/",
                                    "https://registry.ollama.ai.evil.example/", "https://xregistry.ollama.ai/"}) {
        const auto checked = access.check_start(url(other));
        ASSERT_FALSE(checked) << other;
        EXPECT_EQ(checked.error().code, ErrorCode::kForbidden);
        EXPECT_NE(checked.error().message.find("PULL_HOSTS"), std::string::npos);
    }
    EXPECT_FALSE(access.check_start(url("http://hf.co/"))) << "not in plain words";
    access.insecure = true;
    EXPECT_TRUE(access.check_start(url("http://hf.co:80/")));
    EXPECT_FALSE(access.check_start(url("http://evil.example/")));
    access.hosts = {"*"};
    EXPECT_TRUE(access.check_start(url("https://any.example/")));
    EXPECT_FALSE(access.check_start(url("https://10.0.0.1/"))) << "any host, but no private address";
}

TEST(Access, WhoTypesAHostMayGoThere) {
    Access access = usual();
    access.named = "typed.example:5000";
    EXPECT_TRUE(access.check_start(url("https://typed.example:5000/")));
    EXPECT_FALSE(access.check_start(url("https://typed.example/")));
    access.named = "127.0.0.1:5000";
    EXPECT_FALSE(access.check_start(url("https://127.0.0.1:5000/")));
    access.named_is_private = true;
    EXPECT_TRUE(access.check_start(url("https://127.0.0.1:5000/")));
}

TEST(Access, RedirectsLeadToPublicHostsOverHttps) {
    Access access = usual();
    access.private_hosts = {"127.0.0.1:7000", "cache.lan"};
    const Url from = url("https://registry.ollama.ai/v2/");
    EXPECT_TRUE(access.check_redirect(from, url("https://cdn.example/blob?sig=1")));
    EXPECT_TRUE(access.check_redirect(from, url("http://127.0.0.1:7000/blob")));
    EXPECT_TRUE(access.check_redirect(from, url("https://cache.lan/blob")));
    for (const char* const to :
         {"http://cdn.example/blob", "https://127.0.0.1/", "http://127.0.0.1:7001/", "https://169.254.169.254/latest",
          "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fd00::1]/"}) {
        EXPECT_FALSE(access.check_redirect(from, url(to))) << to;
    }
    const Url plain = url("http://hf.co/a");
    EXPECT_TRUE(access.check_redirect(plain, url("http://hf.co/b"))) << "it was plain before";
    EXPECT_FALSE(access.check_redirect(plain, url("http://other.example/b")));
}

TEST(Access, AMirrorIsWhereTheOperatorSays) {
    Access access = usual();
    access.mirrors = *parse_mirrors({"registry.ollama.ai=http://127.0.0.1:5000"});
    EXPECT_TRUE(access.check_start(url("http://127.0.0.1:5000/v2/")));
    EXPECT_TRUE(access.allows_private(url("http://127.0.0.1:5000/v2/")));
    EXPECT_FALSE(access.check_start(url("http://127.0.0.1:5001/v2/")));
    for (const char* const wrong : {"", "x", "=http://a", "a=", "a=ftp://b", "a=http://b/path", "a=http://u:p@b"}) {
        EXPECT_FALSE(parse_mirrors({wrong})) << wrong;
    }
}

TEST(Access, CredentialsAreForOneHost) {
    Access access = usual();
    access.basic = *parse_registry_auth({"own.example:8443=me:pass=wo:rd"});
    access.bearer["hf.co"] = "hf_x";
    EXPECT_EQ(access.basic_for(url("https://own.example:8443/x")), "Basic bWU6cGFzcz13bzpyZA==");
    EXPECT_EQ(access.basic_for(url("https://own.example/x")), "");
    EXPECT_EQ(access.bearer_for(url("https://hf.co/x")), "Bearer hf_x");
    EXPECT_EQ(access.bearer_for(url("http://hf.co/x")), "") << "never in plain words";
    EXPECT_EQ(access.bearer_for(url("https://cdn.hf.co/x")), "");
    for (const char* const wrong : {"", "x", "=a:b", "host=user", "host=user:pass\nX: y"}) {
        const auto read = parse_registry_auth({wrong});
        ASSERT_FALSE(read) << wrong;
        EXPECT_EQ(read.error().message, "host=user:password") << "and nothing of the secret";
    }
}

TEST(Proxies, AreTakenAsCurlTakesThem) {
    const Proxies proxies{"http://p:1", "http://p:2", "", "localhost, .lan,example.org,[::1],10.0.0.1:5000"};
    EXPECT_EQ(proxies.for_url(url("http://a.example/")), "http://p:1");
    EXPECT_EQ(proxies.for_url(url("https://a.example/")), "http://p:2");
    for (const char* const direct : {"http://localhost:5000/", "https://x.lan/", "https://example.org/",
                                     "https://www.example.org/", "http://10.0.0.1:5000/"}) {
        EXPECT_EQ(proxies.for_url(url(direct)), "") << direct;
    }
    EXPECT_EQ(proxies.for_url(url("https://notexample.org/")), "http://p:2");
    EXPECT_EQ(Proxies({}, {}, "http://p:3", {}).for_url(url("https://a.example/")), "http://p:3");
    EXPECT_EQ(Proxies({}, "http://p:2", {}, "*").for_url(url("https://a.example/")), "");
}

}  // namespace
}  // namespace sutazai::fetch
