#include "api/ollama_progress.h"

#include <gtest/gtest.h>

namespace sutazai::api::ollama {
namespace {

TEST(OllamaProgress, LinesAreOllamas) {
    std::string out;
    append_progress(out, {"pulling manifest"});
    append_progress(out, {"pulling 1234", "sha256:1234", 100, 0});
    append_progress(out, {"pulling 1234", "sha256:1234", 100, 50});
    append_progress(out, {"a \"quoted\"\nname"});
    append_error(out, {ErrorCode::kNotFound, "no \"x\""});
    append_success(out);
    EXPECT_EQ(out,
              "{\"status\":\"pulling manifest\"}\n"
              "{\"status\":\"pulling 1234\",\"digest\":\"sha256:1234\",\"total\":100}\n"
              "{\"status\":\"pulling 1234\",\"digest\":\"sha256:1234\",\"total\":100,\"completed\":50}\n"
              "{\"status\":\"a \\\"quoted\\\"\\nname\"}\n"
              "{\"error\":\"no \\\"x\\\"\"}\n"
              "{\"status\":\"success\"}\n");
}

TEST(OllamaProgress, TransfersAreRead) {
    const auto old = parse_transfer(R"({"name":"a","insecure":true,"stream":false,"username":""})");
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_EQ(old->model, "a");
    EXPECT_TRUE(old->insecure);
    EXPECT_FALSE(old->stream);
    EXPECT_EQ(parse_transfer(R"({"name":"a","model":"b"})")->model, "b");
    EXPECT_TRUE(parse_transfer(R"({"model":"b"})")->stream);
    for (const auto& [body, field] :
         {std::pair(R"({})", "model"), std::pair(R"({"model":""})", "model"), std::pair(R"({"model":1})", "model"),
          std::pair(R"({"model":"a","stream":"yes"})", "stream"),
          std::pair(R"({"model":"a","password":"p"})", "password"), std::pair(R"({"model":"a","more":1})", "more")}) {
        const auto refused = parse_transfer(body);
        ASSERT_FALSE(refused) << body;
        EXPECT_EQ(refused.error().field, field) << body;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    }
}

TEST(OllamaProgress, CopiesAndRemovalsAreRead) {
    EXPECT_EQ(parse_copy(R"({"source":"a","destination":"b"})")->destination, "b");
    EXPECT_EQ(parse_copy(R"({"source":"a"})").error().field, "destination");
    EXPECT_EQ(parse_copy(R"({"destination":"a"})").error().field, "source");
    EXPECT_EQ(parse_delete(R"({"model":"a"})").value(), "a");
    EXPECT_EQ(parse_delete(R"({"name":"a"})").value(), "a");
    EXPECT_EQ(parse_delete(R"({"model":"a","force":true})").error().field, "force");
    EXPECT_FALSE(parse_delete("a"));
}

}  // namespace
}  // namespace sutazai::api::ollama
