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

}  // namespace
}  // namespace sutazai
