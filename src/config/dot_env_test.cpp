#include <gtest/gtest.h>

#include "config/settings.h"

namespace sutazai::config {
namespace {

using Values = std::map<std::string, std::string>;

TEST(DotEnv, ReadsNamesValuesCommentsAndExport) {
    const auto values = parse_dot_env(
        "# a comment\n"
        "\n"
        "  # another\n"
        "PORT=8081\r\n"
        "export HOST = localhost  # where\n"
        "API_KEYS=\n"
        "MODELS=a=/tmp/x#1.gguf\n"
        "EMPTY=# nothing\n"
        "LAST=end");
    ASSERT_TRUE(values);
    EXPECT_EQ(*values, (Values{{"PORT", "8081"},
                               {"HOST", "localhost"},
                               {"API_KEYS", ""},
                               {"MODELS", "a=/tmp/x#1.gguf"},
                               {"EMPTY", ""},
                               {"LAST", "end"}}));
}

TEST(DotEnv, ReadsQuotes) {
    const auto values = parse_dot_env(
        "A='single # \\n \"'  # comment\n"
        "B=\"double # \\n\\t\\\"\\\\\"\n"
        "C=''\n"
        "D=it's\n");
    ASSERT_TRUE(values);
    EXPECT_EQ(*values, (Values{{"A", "single # \\n \""}, {"B", "double # \n\t\"\\"}, {"C", ""}, {"D", "it's"}}));
}

TEST(DotEnv, EmptyTextHasNoValues) {
    const auto values = parse_dot_env("");
    ASSERT_TRUE(values);
    EXPECT_TRUE(values->empty());
}

TEST(DotEnv, ErrorsNameTheLine) {
    const std::vector<std::pair<const char*, const char*>> broken{
        {"PORT=1\n\nnonsense\n", ".env line 3"},
        {"PORT=1\n=2\n", ".env line 2"},
        {"9LIVES=1", ".env line 1"},
        {"A B=1", ".env line 1"},
        {"A='open\nB=1\n", ".env line 1: the quotes of A"},
        {"\nA=\"x\" y\n", ".env line 2: the quotes of A"},
        {"A=\"x\\", ".env line 1: the quotes of A"},
        {"A=1\nB=2\nA=3\n", ".env line 3: A is already set on line 1"}};
    for (const auto& [text, message_part] : broken) {
        SCOPED_TRACE(text);
        const auto values = parse_dot_env(text);
        ASSERT_FALSE(values);
        EXPECT_EQ(values.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(values.error().message.find(message_part), std::string::npos) << values.error().message;
    }
}

TEST(DotEnv, ErrorsDoNotShowValues) {
    const auto values = parse_dot_env("API_KEYS sk-secret");
    ASSERT_FALSE(values);
    EXPECT_EQ(values.error().message.find("sk-secret"), std::string::npos);
}

TEST(DotEnv, AByteOrderMarkIsNoPartOfTheFirstName) {
    const auto values = parse_dot_env("\xEF\xBB\xBFPORT=1234\nHOST=::1\n");
    ASSERT_TRUE(values) << values.error().message;
    EXPECT_EQ(values->at("PORT"), "1234");
    EXPECT_TRUE(parse_dot_env("\xEF\xBB\xBF")->empty());
    EXPECT_FALSE(parse_dot_env("PORT=1\n\xEF\xBB\xBFHOST=x\n")) << "only at the beginning";
    for (const std::string_view text : {std::string_view("\xFF\xFEP\0O\0", 6), std::string_view("\xFE\xFF\0P", 4)}) {
        const auto refused = parse_dot_env(text);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().message.find("UTF-16"), std::string::npos);
    }
}

}  // namespace
}  // namespace sutazai::config
