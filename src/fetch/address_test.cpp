#include "fetch/address.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

TEST(Address, PublicOnesArePublic) {
    for (const char* const text :
         {"1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "192.0.1.1", "223.255.255.255", "[2606:4700::1111]",
          "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"}) {
        EXPECT_EQ(is_public_literal(text), true) << text;
    }
}

TEST(Address, OthersAreNot) {
    for (const char* const text : {"0.0.0.0",
                                   "10.1.2.3",
                                   "100.64.0.1",
                                   "127.0.0.1",
                                   "127.255.255.254",
                                   "169.254.169.254",
                                   "172.16.0.1",
                                   "172.31.255.255",
                                   "192.0.0.1",
                                   "192.168.1.1",
                                   "198.18.0.1",
                                   "203.0.113.7",
                                   "224.0.0.1",
                                   "255.255.255.255",
                                   "::",
                                   "[::1]",
                                   "fe80::1",
                                   "[fe80::1%eth0]",
                                   "fc00::1",
                                   "fd12::1",
                                   "ff02::1",
                                   "2001:db8::1",
                                   "2001::1",
                                   "::ffff:127.0.0.1",
                                   "::ffff:10.0.0.1",
                                   "64:ff9b::10.0.0.1",
                                   "2002:7f00:1::",
                                   "2002:0a00:0001::",
                                   "3fff::1"}) {
        EXPECT_EQ(is_public_literal(text), false) << text;
    }
}

TEST(Address, NamesAreNoAddresses) {
    for (const char* const text : {"example.org", "localhost", "", "[]", "1.2.3", "1.2.3.4.5"}) {
        EXPECT_EQ(is_public_literal(text), std::nullopt) << text;
    }
}

}  // namespace
}  // namespace sutazai::fetch
