#include "fetch/challenge.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

TEST(Challenge, OfARegistryIsRead) {
    const auto read = parse_challenge(
        R"(Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push")");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->scheme, "bearer");
    EXPECT_EQ(read->parameter("realm"), "https://auth.example/token");
    EXPECT_EQ(read->parameter("service"), "registry.example");
    EXPECT_EQ(read->parameter("scope"), "repository:a/b:pull,push");
    EXPECT_EQ(read->parameter("error"), "");
}

TEST(Challenge, SpacesCaseAndQuotesAreNoMatter) {
    const auto read = parse_challenge(R"(BEARER  Realm = "https://a/\"x\"" ,  SERVICE=plain)");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->parameter("realm"), R"(https://a/"x")");
    EXPECT_EQ(read->parameter("service"), "plain");
}

TEST(Challenge, TheFirstThatIsKnownCounts) {
    EXPECT_EQ(parse_challenge(R"(Digest realm="x", nonce="y", Basic realm="z")")->scheme, "basic");
    EXPECT_EQ(parse_challenge(R"(Bearer scope="x", Basic realm="z")")->scheme, "basic") << "no realm to ask at";
    EXPECT_EQ(parse_challenge("Basic")->scheme, "basic");
}

TEST(Challenge, NonsenseIsNone) {
    for (const char* const text : {"", " ", "=", "Bearer", R"(Bearer realm="x)", R"(Bearer realm="x\)",
                                   R"(Bearer ="x")", "Negotiate", "\"Bearer\""}) {
        EXPECT_FALSE(parse_challenge(text)) << text;
    }
    EXPECT_FALSE(parse_challenge("Bearer realm=\"" + std::string(10000, 'x') + "\""));
}

}  // namespace
}  // namespace sutazai::fetch
