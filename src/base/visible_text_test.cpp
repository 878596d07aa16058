#include "base/visible_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "base/json_text.h"

namespace sutazai {
namespace {

TEST(VisibleText, ShowsWhatMovesTheCursorOrTurnsTextAround) {
    EXPECT_EQ(visible("Qwen 3 \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"),
              "Qwen 3 \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(visible("a\x1b[31m\n\r\t\x7f"), "a\\x1b[31m\\n\\r\\t\\x7f");
    EXPECT_EQ(visible("\xc2\x9b"
                      "31m\xc2\xa0"),
              "\\x9b31m\xc2\xa0");
    EXPECT_EQ(visible("x\xe2\x80\xaegpj"), "x\\u202egpj");
    EXPECT_EQ(visible("\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xa8\xe2\x80\x8f\xd8\x9c"),
              "\\u2066\\u2069\\u2028\\u200f\\u061c");
    EXPECT_EQ(visible("\xe2\x80\x94\xe2\x81\xaa\xd8\x9b"), "\xe2\x80\x94\xe2\x81\xaa\xd8\x9b");
    EXPECT_EQ(visible("\x9b"
                      "a\xe2\x80"),
              "\xef\xbf\xbd"
              "a\xef\xbf\xbd");
    EXPECT_EQ(visible(std::string("\0", 1)), "\\x00");
    EXPECT_EQ(visible(""), "");
}

TEST(VisibleText, JsonSaysTheSame) {
    const std::string text = "a\x1b\n\x7f\xc2\x9b\xe2\x80\xae\"";
    std::string quoted;
    append_quoted(quoted, text);
    const std::string shown = visible_json(quoted);
    EXPECT_EQ(shown.find('\x7f'), std::string::npos);
    EXPECT_NE(shown.find("\\u202e"), std::string::npos);
    EXPECT_EQ(std::string_view(boost::json::parse(shown).as_string()), text);
}

}  // namespace
}  // namespace sutazai
