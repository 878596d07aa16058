#include "http/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <string>

#include "api/openapi.h"
#include "http/routes.h"

namespace sutazai::http {
namespace {

Router table() {
    return Router({{Method::kGet, "/v1/models", Family::kOpenAi, nullptr},
                   {Method::kGet, "/v1/models/*", Family::kOpenAi, nullptr},
                   {Method::kDelete, "/v1/models/*", Family::kOpenAi, nullptr},
                   {Method::kPost, "/api/x", Family::kStreamingV1, nullptr}});
}

std::string_view path_of(const Match& match) {
    return match.route == nullptr ? "none" : match.route->path;
}

TEST(Router, FindsExactPaths) {
    const Router router = table();
    EXPECT_EQ(path_of(router.match(Method::kGet, "/v1/models")), "/v1/models");
    EXPECT_EQ(path_of(router.match(Method::kPost, "/api/x")), "/api/x");
    for (const char* path : {"/", "", "/v1/model", "/v1/models/", "/api/x/", "/API/X", "*"}) {
        const Match match = router.match(Method::kGet, path);
        EXPECT_EQ(path_of(match), "none") << path;
        EXPECT_EQ(match.allowed, "") << path;
    }
}

TEST(Router, HandsTheRestOfAPathOn) {
    const Router router = table();
    EXPECT_EQ(router.match(Method::kGet, "/v1/models/qwen2.5:3b").parameter, "qwen2.5:3b");
    EXPECT_EQ(router.match(Method::kGet, "/v1/models/org/name%3A3b").parameter, "org/name:3b");
    EXPECT_EQ(router.match(Method::kDelete, "/v1/models/a").route->method, Method::kDelete);
}

TEST(Router, HeadGoesWhereGetGoes) {
    EXPECT_EQ(path_of(table().match(Method::kHead, "/v1/models")), "/v1/models");
    EXPECT_EQ(path_of(table().match(Method::kHead, "/api/x")), "none");
}

TEST(Router, AWrongMethodIsToldTheRightOnes) {
    const Router router = table();
    EXPECT_EQ(router.match(Method::kPost, "/v1/models").allowed, "GET, HEAD, OPTIONS");
    EXPECT_EQ(router.match(Method::kOther, "/v1/models/a").allowed, "GET, HEAD, DELETE, OPTIONS");
    EXPECT_EQ(router.match(Method::kGet, "/api/x").allowed, "POST, OPTIONS");
    EXPECT_EQ(router.match(Method::kGet, "/api/x").route, nullptr);
}

TEST(Router, ErrorsTakeTheShapeOfThePathsFamily) {
    const Router router = table();
    EXPECT_EQ(router.match(Method::kGet, "/v1/nothing").family, Family::kOpenAi);
    EXPECT_EQ(router.match(Method::kGet, "/v1/messages/nothing?a=/b").family, Family::kAnthropic);
    EXPECT_EQ(router.match(Method::kGet, "/v1/messages?beta=true").family, Family::kAnthropic);
    EXPECT_EQ(router.match(Method::kGet, "/v1/messagesx").family, Family::kOpenAi);
    EXPECT_EQ(router.match(Method::kGet, "/v12").family, Family::kStreamingV1);
    EXPECT_EQ(router.match(Method::kGet, "/api/y").family, Family::kOllama);
    EXPECT_EQ(router.match(Method::kGet, "/api/v1/x").family, Family::kStreamingV1);
    EXPECT_EQ(router.match(Method::kGet, "/apis").family, Family::kStreamingV1);
}

TEST(Router, DecodesPercents) {
    EXPECT_EQ(percent_decoded("a%20b%2Fc%c3%A9"), "a b/cé");
    EXPECT_EQ(percent_decoded("100%"), "100%");
    EXPECT_EQ(percent_decoded("%4"), "%4");
    EXPECT_EQ(percent_decoded("%zz%+1%-1"), "%zz%+1%-1");
}

TEST(Routes, OnlyWhatTellsNothingIsOpenAndNoneIsThereTwice) {
    const std::set<std::string_view> open{"/",       "/health", "/livez",       "/ready",
                                          "/readyz", "/page/*", "/api/version", "/openapi.json"};
    std::set<std::pair<Method, std::string_view>> seen;
    for (const Route& route : all_routes()) {
        EXPECT_TRUE(seen.emplace(route.method, route.path).second) << route.path;
        EXPECT_NE(route.handler, nullptr) << route.path;
        EXPECT_EQ(route.open, open.contains(route.path)) << route.path;
        EXPECT_EQ(route.family, family_of_path(route.path)) << route.path;
    }
}

TEST(AllRoutes, AreThoseOfTheDescription) {
    std::set<std::string> described;
    const boost::json::value description = boost::json::parse(api::openapi_json());
    for (const auto& [path, methods] : description.at("paths").as_object()) {
        std::string pattern(path);
        if (const auto brace = pattern.find('{'); brace != std::string::npos)
            pattern.replace(brace, pattern.size(), "*");
        for (const auto& [method, operation] : methods.as_object())
            described.insert(std::string(method) + " " + pattern);
    }
    std::set<std::string> served;
    for (const Route& route : all_routes()) {
        const char* const method = route.method == Method::kGet      ? "get "
                                   : route.method == Method::kPost   ? "post "
                                   : route.method == Method::kDelete ? "delete "
                                                                     : "head ";
        served.insert(method + std::string(route.path));
    }
    EXPECT_EQ(served, described) << "src/http/routes.cpp and scripts/openapi.py differ";
}

}  // namespace
}  // namespace sutazai::http
