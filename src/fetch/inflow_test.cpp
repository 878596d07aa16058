#include "fetch/inflow.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "base/testing/temporary_folder.h"

namespace sutazai::fetch {
namespace {

std::string random_text(std::size_t size, std::mt19937& random) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
}

Bytes bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

class InflowTest : public testing::Test {
  protected:
    [[nodiscard]] File open() const { return File(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)); }
    [[nodiscard]] std::string content() const {
        std::ifstream in(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    TemporaryFolder folder_;
    const std::filesystem::path path_ = folder_.path() / "file";
    std::stop_source stop_;
};

TEST_F(InflowTest, WhateverTheOrderItIsTheFileAndItsSum) {
    for (unsigned seed = 0; seed < 30; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&random](std::size_t most) { return random() % most; };
        const std::string text = random_text(1 + below(5 * Inflow::kBlockBytes), random);
        // What an earlier download left, then parts on several connections, with ends anywhere.
        const std::size_t left = below(2) == 0 ? 0 : below(text.size());
        std::ofstream(path_, std::ios::binary | std::ios::trunc) << text.substr(0, left);
        RangeSet there;
        there.add({0, left});
        std::vector<Range> parts = there.missing(text.size(), 1 + below(text.size()));
        const std::size_t n_lanes = 1 + below(60);

        const File file = open();
        std::atomic<std::uint64_t> told = left;
        Inflow inflow(file, "file", text.size(), there, [&told](std::uint64_t more) { told += more; });
        std::vector<Range> lanes;
        while (!parts.empty() || !lanes.empty()) {
            while (lanes.size() < n_lanes && !parts.empty()) {
                lanes.push_back(parts.front());
                parts.erase(parts.begin());
            }
            const std::size_t at = below(lanes.size());
            Range& lane = lanes[at];
            const std::size_t length = std::min<std::size_t>(lane.bytes(), 1 + below(below(2) == 0 ? 5000 : 500'000));
            ASSERT_TRUE(
                inflow.add(lane.begin, bytes_of(std::string_view(text).substr(lane.begin, length)), stop_.get_token()));
            lane.begin += length;
            if (lane.bytes() == 0) lanes.erase(lanes.begin() + static_cast<std::ptrdiff_t>(at));
            if (below(20) == 0) inflow.go_around_cache(below(2) == 0);
            if (below(200) == 0) {
                ASSERT_TRUE(inflow.flush());
            }
        }
        const auto digest = inflow.digest(stop_.get_token());
        ASSERT_TRUE(digest);
        EXPECT_EQ(*digest, sha256(bytes_of(text))) << seed;
        EXPECT_EQ(inflow.added_bytes(), text.size());
        EXPECT_EQ(inflow.written().missing(text.size(), text.size()), std::vector<Range>{});
        EXPECT_EQ(told, text.size());
        EXPECT_EQ(content(), text) << seed;
    }
}

TEST_F(InflowTest, WhatWasFlushedIsInTheFile) {
    const File file = open();
    Inflow inflow(file, "file", 10, {}, [](std::uint64_t) {});
    ASSERT_TRUE(inflow.add(0, bytes_of("abc"), stop_.get_token()));
    ASSERT_TRUE(inflow.add(7, bytes_of("x"), stop_.get_token()));
    ASSERT_TRUE(inflow.flush());
    const RangeSet written = inflow.written();
    EXPECT_EQ(written.ranges(), (std::vector<Range>{{0, 3}, {7, 8}}));
    EXPECT_EQ(content().substr(0, 3), "abc");
}

TEST_F(InflowTest, AFullDiskIsAnError) {
    const File file(::open("/dev/full", O_RDWR | O_CLOEXEC));
    Inflow inflow(file, "file", 100 * Inflow::kBlockBytes, {}, [](std::uint64_t) {});
    const std::string block(Inflow::kBlockBytes, 'x');
    Result<void> added;
    for (std::uint64_t at = 0; added && at < 100 * Inflow::kBlockBytes; at += Inflow::kBlockBytes) {
        added = inflow.add(at, bytes_of(block), stop_.get_token());
    }
    ASSERT_FALSE(added) << "more than fits into the memory was taken";
    EXPECT_EQ(added.error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(inflow.flush());
    EXPECT_FALSE(inflow.digest(stop_.get_token()));
}

TEST_F(InflowTest, WhoIsStoppedWaitsForNoSum) {
    const File file = open();
    Inflow inflow(file, "file", 10, {}, [](std::uint64_t) {});
    stop_.request_stop();
    const auto digest = inflow.digest(stop_.get_token());
    ASSERT_FALSE(digest);
    EXPECT_EQ(digest.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace sutazai::fetch
