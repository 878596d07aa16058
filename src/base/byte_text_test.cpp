#include "base/byte_text.h"

#include <gtest/gtest.h>

namespace sutazai {
namespace {

TEST(ByteText, IsShort) {
    EXPECT_EQ(byte_text(0), "0 B");
    EXPECT_EQ(byte_text(1023), "1023 B");
    EXPECT_EQ(byte_text(1572864), "1.5 MiB");
    EXPECT_EQ(byte_text(40ULL << 30), "40 GiB");
    EXPECT_EQ(byte_text((40ULL << 30) + (410 << 20)), "40.4 GiB");
    EXPECT_EQ(byte_text(UINT64_MAX), "16384 PiB");
}

TEST(HumanNumber, IsAsOllamaShowsIt) {
    EXPECT_EQ(human_number(0), "");
    EXPECT_EQ(human_number(999), "999");
    EXPECT_EQ(human_number(27'000), "27K");
    EXPECT_EQ(human_number(134'515'008), "134.52M");
    EXPECT_EQ(human_number(7'615'616'512), "7.6B");
    EXPECT_EQ(human_number(1'000'000'000'000), "1.0T");
}

}  // namespace
}  // namespace sutazai
