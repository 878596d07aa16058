#include "http/auth.h"

#include <gtest/gtest.h>

namespace sutazai::http {
namespace {

TEST(Auth, WithoutKeysEverybodyMay) {
    const Auth auth({}, {});
    EXPECT_FALSE(auth.required());
    EXPECT_TRUE(auth.check("", ""));
    EXPECT_TRUE(auth.check("Bearer whatever", ""));
}

TEST(Auth, AnyOfTheKeysInEitherHeader) {
    const Auth auth({"first", "second key"}, {});
    EXPECT_TRUE(auth.check("Bearer first", ""));
    EXPECT_TRUE(auth.check("bearer  second key", ""));
    EXPECT_TRUE(auth.check("", "second key"));
    EXPECT_TRUE(auth.check("Basic Zm9v", "first")) << "one of the two is enough";
    EXPECT_EQ(auth.check("Bearer first", "")->tenant, auth.check("", "first")->tenant) << "one key, one tenant";
    EXPECT_NE(auth.check("Bearer first", "")->tenant, auth.check("", "second key")->tenant);
}

TEST(Auth, NothingElse) {
    const Auth auth({"first"}, {});
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

TEST(Auth, KeysOfAdministrators) {
    const Auth auth({"plain", "both"}, {"admin", "both"});
    EXPECT_FALSE(auth.check("Bearer plain", "")->admin);
    EXPECT_TRUE(auth.check("Bearer admin", "")->admin);
    EXPECT_TRUE(auth.check("", "both")->admin);
    EXPECT_FALSE(auth.check("Bearer plain", "admin")->admin) << "the first key that is known counts";
    const Auth only_admins({}, {"admin"});
    EXPECT_TRUE(only_admins.required()) << "the server is closed as soon as there is any key";
    EXPECT_FALSE(only_admins.check("", ""));
    EXPECT_FALSE(Auth({}, {}).check("", "")->admin);
}

}  // namespace
}  // namespace sutazai::http
