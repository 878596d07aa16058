#include "base/upstream_address.h"

#include <gtest/gtest.h>

#include <string>

namespace sutazai {
namespace {

TEST(UpstreamAddress, IsReadAndWrittenAlike) {
    for (const std::string text : {"ollama+http://127.0.0.1:11434", "openai+https://api.example.org/v1",
                                   "sutazai+http://[::1]:8080", "openai+http://box_1/a/b", "sutazai+https://h"}) {
        const auto read = parse_upstream(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(read->text(), text);
    }
}

TEST(UpstreamAddress, HasTheDefaultsOfItsKindAndScheme) {
    const auto https = parse_upstream("openai+https://api.example.org/");
    ASSERT_TRUE(https);
    EXPECT_EQ(https->port, 443);
    EXPECT_EQ(https->path, "/v1");
    EXPECT_EQ(https->authority(), "api.example.org");
    const auto v6 = parse_upstream("ollama+http://[fe80::1]:1/");
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->host, "fe80::1");
    EXPECT_EQ(v6->path, "");
    EXPECT_EQ(v6->authority(), "[fe80::1]:1");
}

TEST(UpstreamAddress, RefusesWhatIsNone) {
    for (const std::string text :
         {"", "http://h", "ollama+ftp://h", "ollama+http://", "ollama+http://h:0", "ollama+http://h:70000",
          "ollama+http://h:x", "ollama+http://user:secret@h", "ollama+http://h/?key=1", "ollama+http://h/#a",
          "ollama+http://h/a b", "ollama+http://h/../x", "ollama+http://h//x", "ollama+http://[::1", "vllm+http://h",
          "ollama+http://h\r\nX: y", "ollama+http://[]:1", "ollama+http://h:80:80"}) {
        EXPECT_FALSE(parse_upstream(text)) << text;
    }
}

}  // namespace
}  // namespace sutazai
