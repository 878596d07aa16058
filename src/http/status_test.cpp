#include "http/status.h"

#include <gtest/gtest.h>

#include "http/request.h"

namespace sutazai::http {
namespace {

TEST(HttpStatus, MapsEveryCode) {
    const std::pair<ErrorCode, unsigned> cases[] = {
        {ErrorCode::kInvalidArgument, 400},  {ErrorCode::kUnauthorized, 401},     {ErrorCode::kForbidden, 403},
        {ErrorCode::kNotFound, 404},         {ErrorCode::kMethodNotAllowed, 405}, {ErrorCode::kPayloadTooLarge, 413},
        {ErrorCode::kUnsupportedMedia, 415}, {ErrorCode::kContextOverflow, 400},  {ErrorCode::kQueueFull, 429},
        {ErrorCode::kQueueTimeout, 408},     {ErrorCode::kUnavailable, 503},      {ErrorCode::kLoadFailed, 503},
        {ErrorCode::kUpstreamFailed, 502},   {ErrorCode::kUpstreamTimeout, 504},  {ErrorCode::kEngineDied, 502},
        {ErrorCode::kCancelled, 503},        {ErrorCode::kInternal, 500}};
    for (const auto& [code, status] : cases) {
        EXPECT_EQ(http_status(code, Family::kOpenAi), status);
        EXPECT_NE(reason_phrase(status), "Unknown") << status;
        if (code != ErrorCode::kInvalidArgument) {
            EXPECT_EQ(http_status(code, Family::kStreamingV1), status);
        }
    }
    EXPECT_EQ(http_status(ErrorCode::kInvalidArgument, Family::kStreamingV1), 422);
    EXPECT_EQ(http_status(ErrorCode::kQueueFull, Family::kAnthropic), 529);
    EXPECT_EQ(reason_phrase(529), "Overloaded");
}

TEST(HttpStatus, RetryAfterIsWhatIsKnown) {
    EXPECT_EQ(retry_after_s({ErrorCode::kQueueFull, ""}), 1);
    EXPECT_EQ(retry_after_s({ErrorCode::kUnavailable, ""}), 0);
    EXPECT_EQ(retry_after_s({ErrorCode::kLoadFailed, "", "", 8}), 8);
}

TEST(ErrorBody, HasTheShapeOfItsFamily) {
    const Error error{ErrorCode::kNotFound, "No.", "model"};
    EXPECT_NE(error_body(Family::kOpenAi, error).find("\"param\":\"model\""), std::string::npos);
    EXPECT_NE(error_body(Family::kStreamingV1, error).find("\"field\":\"model\""), std::string::npos);
    EXPECT_EQ(error_body(Family::kAnthropic, error, "req_1"),
              R"({"type":"error","error":{"type":"not_found_error","message":"No."},"request_id":"req_1"})");
}

TEST(SplitTarget, KnowsBothForms) {
    Request request;
    ASSERT_TRUE(split_target("/a/b?c=d?e", request));
    EXPECT_EQ(request.path, "/a/b");
    EXPECT_EQ(request.query, "c=d?e");
    EXPECT_EQ(request.host, "");
    ASSERT_TRUE(split_target("HTTP://other.example:8/x", request));
    EXPECT_EQ(request.path, "/x");
    EXPECT_EQ(request.host, "other.example:8");
    ASSERT_TRUE(split_target("http://other.example", request));
    EXPECT_EQ(request.path, "/");
    EXPECT_TRUE(split_target("*", request));
    for (const char* path : {"/", "//a", "/v1/models/qwen2.5:3b", "/v1/models/a%2Fb"}) {
        ASSERT_TRUE(split_target(path, request)) << path;
        EXPECT_EQ(request.path, path);
        EXPECT_EQ(request.query, "");
    }
    for (const char* target : {"", "a/b", "https://x/y", "?a", "*/x", "http:/x", "http://x:y", "/a b", "/\xff"})
        EXPECT_FALSE(split_target(target, request)) << target;
}

TEST(IsJsonType, LooksAtTheTypeAlone) {
    EXPECT_TRUE(is_json_type("application/json"));
    EXPECT_TRUE(is_json_type("Application/JSON ; charset=utf-8"));
    EXPECT_FALSE(is_json_type("application/jsonp"));
    EXPECT_FALSE(is_json_type("text/plain; application/json"));
    EXPECT_FALSE(is_json_type(""));
}

}  // namespace
}  // namespace sutazai::http
