#include "http/auth.h"

#include <gtest/gtest.h>

namespace sutazai::http {
namespace {

TEST(Auth, WithoutKeysEverybodyMay) {
    const Auth auth({});
    EXPECT_FALSE(auth.required());
    EXPECT_TRUE(auth.check("", ""));
    EXPECT_TRUE(auth.check("Bearer whatever", ""));
}

TEST(Auth, AnyOfTheKeysInEitherHeader) {
    const Auth auth({"first", "second key"});
    EXPECT_TRUE(auth.check("Bearer first", ""));
    EXPECT_TRUE(auth.check("bearer  second key", ""));
    EXPECT_TRUE(auth.check("", "second key"));
    EXPECT_TRUE(auth.check("Basic Zm9v", "first")) << "one of the two is enough";
    EXPECT_EQ(auth.check("Bearer first", "").value(), auth.check("", "first").value()) << "one key, one tenant";
    EXPECT_NE(auth.check("Bearer first", "").value(), auth.check("", "second key").value());
}

TEST(Auth, NothingElse) {
    const Auth auth({"first"});
    for (const char* authorization : {"", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer first2", "Bearer FIRST",
                                      "Basic first", "Bearerfirst"}) {
        const auto result = auth.check(authorization, "");
        ASSERT_FALSE(result) << authorization;
        EXPECT_EQ(result.error().code, ErrorCode::kUnauthorized);
    }
    EXPECT_FALSE(auth.check("", "First"));
    EXPECT_FALSE(auth.check("", "Bearer first"));
    EXPECT_NE(auth.check("", "").error().message, auth.check("", "x").error().message);
}

}  // namespace
}  // namespace sutazai::http
