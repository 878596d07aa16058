#include "catalog/gguf_metadata.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>

#include "base/testing/temporary_folder.h"
#include "gguf/testing/gguf_bytes.h"

namespace sutazai::catalog {
namespace {

using gguf::Bytes;

Result<std::vector<MetadataEntry>> read(const std::string& bytes, Arrays arrays = Arrays::kRead) {
    std::istringstream in(bytes);
    return read_gguf_metadata(in, bytes.size(), arrays);
}

/// One entry of each type.
std::string of_every_type() {
    Bytes bytes;
    bytes.head(3, 0, 14).text_pair("text", "Grüße").u32_pair("u32", 4'000'000'000U);
    bytes.text("u8").u32(0).put<std::uint8_t>(200);
    bytes.text("i8").u32(1).put<std::uint8_t>(0xFF);
    bytes.text("u16").u32(2).put<std::uint16_t>(60'000);
    bytes.text("i16").u32(3).put<std::uint16_t>(0xFFFE);
    bytes.text("i32").u32(5).u32(0xFFFF'FFFD);
    bytes.text("f32").u32(6).u32(0x3F00'0000);
    bytes.text("yes").u32(7).put<std::uint8_t>(1);
    bytes.text("u64").u32(10).u64(1ULL << 63U);
    bytes.text("i64").u32(11).u64(~0ULL);
    bytes.text("f64").u32(12).u64(0x3FD0'0000'0000'0000);
    bytes.text("tokens").u32(9).u32(8).u64(2).text("a").text("bc");
    bytes.text("types").u32(9).u32(5).u64(2).u32(1).u32(0xFFFF'FFFF);
    return bytes.str();
}

TEST(GgufMetadata, ReadsEveryType) {
    const auto entries = read(of_every_type());
    ASSERT_TRUE(entries) << entries.error().message;
    ASSERT_EQ(entries->size(), 14U);
    const std::vector<MetadataScalar> expected{std::string("Grüße"),
                                               std::uint64_t{4'000'000'000},
                                               std::uint64_t{200},
                                               std::int64_t{-1},
                                               std::uint64_t{60'000},
                                               std::int64_t{-2},
                                               std::int64_t{-3},
                                               0.5,
                                               true,
                                               std::uint64_t{1} << 63U,
                                               std::int64_t{-1},
                                               0.25};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_FALSE(entries->at(i).is_array);
        EXPECT_EQ(entries->at(i).values, std::vector{expected[i]}) << entries->at(i).key;
    }
    EXPECT_EQ(entries->at(12).values, (std::vector<MetadataScalar>{std::string("a"), std::string("bc")}));
    EXPECT_EQ(entries->at(13).values, (std::vector<MetadataScalar>{std::int64_t{1}, std::int64_t{-1}}));
    EXPECT_EQ(text_of(*entries, "text"), "Grüße");
    EXPECT_EQ(text_of(*entries, "u8"), "");
    EXPECT_EQ(text_of(*entries, "tokens"), "");
    EXPECT_EQ(text_of(*entries, "missing"), "");
}

TEST(GgufMetadata, ArraysThatNobodyAskedForAreEmpty) {
    const auto entries = read(of_every_type(), Arrays::kSkip);
    ASSERT_TRUE(entries) << entries.error().message;
    EXPECT_TRUE(entries->at(12).is_array && entries->at(12).values.empty());
    EXPECT_TRUE(entries->at(13).is_array && entries->at(13).values.empty());
    EXPECT_EQ(entries->size(), 14U);
}

TEST(GgufMetadata, AFileThatLiesIsRefused) {
    const std::string whole = of_every_type();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        EXPECT_FALSE(read(whole.substr(0, length))) << length << " bytes";
        EXPECT_FALSE(read(whole.substr(0, length), Arrays::kSkip)) << length << " bytes";
    }
    EXPECT_FALSE(read("GGML" + whole.substr(4)));
    EXPECT_FALSE(read(Bytes().head(3, 0, 1).text("a").u32(99).u64(0).str())) << "a type that is none";
    EXPECT_FALSE(read(Bytes().head(3, 0, 1).text("a").u32(9).u32(0).u64(~0ULL).str())) << "more than the file holds";
    EXPECT_FALSE(read(Bytes().head(3, 0, 1).text("a").u32(9).u32(9).u64(1).u32(0).u64(0).str())) << "nested";
    EXPECT_FALSE(read(Bytes().head(3, 0, ~0ULL).str()));
    EXPECT_FALSE(read_gguf_metadata("/nowhere.gguf", Arrays::kSkip));
}

TEST(GgufMetadata, ChangedBytesEndInNothingWorseThanARefusal) {
    const std::string whole = of_every_type();
    std::mt19937 random(1);
    for (int round = 0; round < 5000; ++round) {
        std::string broken = whole;
        for (int change = 0; change < 3; ++change) broken[random() % broken.size()] = static_cast<char>(random());
        (void)read(broken, round % 2 == 0 ? Arrays::kRead : Arrays::kSkip);
    }
}

}  // namespace
}  // namespace sutazai::catalog
