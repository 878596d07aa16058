#include "base/log.h"

#include <gtest/gtest.h>

namespace sutazai::log {
namespace {

TEST(JsonQuote, EscapesWhatJsonMustHaveEscaped) {
    EXPECT_EQ(json_quote("a\"b\\c\n\t"), R"("a\"b\\c\n\u0009")");
    EXPECT_EQ(json_quote("grüße 日本 🙂"), "\"grüße 日本 🙂\"");
}

TEST(JsonQuote, ReplacesWhatIsNoUtf8) {
    EXPECT_EQ(json_quote("\xff"), R"("\ufffd")");
    EXPECT_EQ(json_quote("\xc0\x80"), R"("\ufffd\ufffd")") << "overlong";
    EXPECT_EQ(json_quote("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")") << "surrogate";
    EXPECT_EQ(json_quote("a\xe2\x82"), R"("a\ufffd\ufffd")") << "cut off";
}

}  // namespace
}  // namespace sutazai::log
