#include "responses/response_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "base/testing/temporary_folder.h"

namespace sutazai::responses {
namespace {

constexpr std::int64_t kNow = 1'000'000;
constexpr Limits kLimits{.retention_s = 100, .most_bytes = 10'000};

class ResponseStoreTest : public testing::Test {
  protected:
    static Record record(std::string id, std::string previous = {}) {
        return {.id = std::move(id),
                .tenant = "t",
                .previous = std::move(previous),
                .status = "completed",
                .created_unix_s = kNow,
                .input = "[1]",
                .body = "{}"};
    }

    TemporaryFolder folder_;
    ResponseStore store_{folder_.path(), kLimits};
};

TEST_F(ResponseStoreTest, KeepsWhatItWasGivenForItsOwner) {
    Record one = record("resp_1");
    one.streams = one.background = one.admin = true;
    one.request = "r";
    one.events = "e";
    ASSERT_TRUE(store_.add(one, kNow));
    EXPECT_EQ(store_.find("t", "resp_1", kNow, true).value(), one);
    EXPECT_EQ(store_.find("t", "resp_1", kNow).value()->events, "");
    EXPECT_EQ(store_.find("other", "resp_1", kNow).value(), std::nullopt);
    EXPECT_EQ(store_.find("t", "resp_2", kNow).value(), std::nullopt);
    EXPECT_FALSE(store_.add(one, kNow));  // ids are used once

    ResponseStore second{folder_.path(), kLimits};
    const auto locked = second.find("t", "resp_1", kNow);
    ASSERT_FALSE(locked);
    EXPECT_EQ(locked.error().code, ErrorCode::kUnavailable);
    EXPECT_TRUE(locked.error().message.contains("another server")) << locked.error().message;
}

TEST_F(ResponseStoreTest, IsThereAfterARestartAndForTheOwnerAlone) {
    const std::uint64_t bytes = [&] {
        ResponseStore before{folder_.path() / "home", kLimits};
        EXPECT_TRUE(before.add(record("resp_1"), kNow));
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "home")) {
            struct stat status {};
            EXPECT_EQ(::stat(entry.path().c_str(), &status), 0);
            EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
        }
        return before.bytes();
    }();
    ResponseStore after{folder_.path() / "home", kLimits};
    EXPECT_EQ(after.find("t", "resp_1", kNow).value(), record("resp_1"));
    EXPECT_EQ(after.bytes(), bytes);
}

TEST_F(ResponseStoreTest, AnUpdateChangesWhatMayChange) {
    Record one = record("resp_1");
    one.open = true;
    one.status = "in_progress";
    one.request = "long request";
    ASSERT_TRUE(store_.add(one, kNow));
    ASSERT_EQ(store_.open_ones(kNow).value().size(), 1U);
    one.open = false;
    one.status = "completed";
    one.request = "";
    one.body = "{\"a\":1}";
    one.tries = 2;
    EXPECT_EQ(store_.update(one, kNow).value(), true);
    EXPECT_EQ(store_.find("t", "resp_1", kNow).value(), one);
    EXPECT_TRUE(store_.open_ones(kNow).value().empty());
    const std::uint64_t bytes = store_.bytes();
    EXPECT_EQ(store_.remove("other", "resp_1", kNow).value(), false);
    EXPECT_EQ(store_.remove("t", "resp_1", kNow).value(), true);
    EXPECT_EQ(store_.remove("t", "resp_1", kNow).value(), false);
    EXPECT_EQ(store_.update(one, kNow).value(), false);  // what is deleted stays so
    EXPECT_EQ(store_.bytes(), 0U);
    EXPECT_GT(bytes, 0U);
}

TEST_F(ResponseStoreTest, AChainIsTheWholeConversation) {
    ASSERT_TRUE(store_.add(record("resp_1"), kNow));
    ASSERT_TRUE(store_.add(record("resp_2", "resp_1"), kNow));
    ASSERT_TRUE(store_.add(record("resp_3", "resp_2"), kNow));
    const auto chain = store_.chain("t", "resp_3", 10'000, kNow).value();
    ASSERT_EQ(chain.size(), 3U);
    EXPECT_EQ(chain.front().id, "resp_1");
    EXPECT_EQ(chain.back().id, "resp_3");
    EXPECT_EQ(store_.chain("t", "resp_9", 10'000, kNow).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.chain("other", "resp_3", 10'000, kNow).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.chain("t", "resp_3", 600, kNow).error().code, ErrorCode::kInvalidArgument);
    ASSERT_TRUE(store_.remove("t", "resp_2", kNow).value());
    const auto broken = store_.chain("t", "resp_3", 10'000, kNow);
    ASSERT_FALSE(broken);
    EXPECT_TRUE(broken.error().message.ends_with("not there any more: resp_2.")) << broken.error().message;
}

TEST_F(ResponseStoreTest, WhatIsUsedIsKeptLonger) {
    ASSERT_TRUE(store_.add(record("resp_1"), kNow));
    ASSERT_TRUE(store_.add(record("resp_2", "resp_1"), kNow));
    ASSERT_TRUE(store_.add(record("resp_x"), kNow));
    Record open = record("resp_open");
    open.open = true;
    ASSERT_TRUE(store_.add(open, kNow));
    ASSERT_TRUE(store_.chain("t", "resp_2", 10'000, kNow + 60));
    EXPECT_EQ(store_.find("t", "resp_x", kNow + 99).value(), record("resp_x"));
    EXPECT_EQ(store_.find("t", "resp_x", kNow + 100).value(), std::nullopt);  // even before it is deleted
    ASSERT_TRUE(store_.expire(kNow + 100));
    EXPECT_EQ(store_.find("t", "resp_x", kNow).value(), std::nullopt);
    EXPECT_EQ(store_.find("t", "resp_1", kNow + 100).value(), record("resp_1"));
    EXPECT_EQ(store_.find("t", "resp_open", kNow + 1000).value(), open);
    ASSERT_TRUE(store_.expire(kNow + 1000));
    EXPECT_EQ(store_.find("t", "resp_1", kNow).value(), std::nullopt);
    EXPECT_EQ(store_.find("t", "resp_open", kNow).value(), open);
}

TEST_F(ResponseStoreTest, ThereIsAnEndToWhatIsKept) {
    for (int i = 0; i < 100; ++i) {
        Record one = record(fmt::format("resp_{}", i));
        one.body = std::string(500, 'x');
        ASSERT_TRUE(store_.add(one, kNow + i / 10));
        EXPECT_LE(store_.bytes(), kLimits.most_bytes);
    }
    EXPECT_EQ(store_.find("t", "resp_0", kNow).value(), std::nullopt);
    EXPECT_NE(store_.find("t", "resp_99", kNow).value(), std::nullopt);
    Record large = record("resp_large");
    large.body = std::string(20'000, 'x');
    EXPECT_EQ(store_.add(large, kNow).error().code, ErrorCode::kPayloadTooLarge);
}

TEST_F(ResponseStoreTest, LooksForOpenOnesWithoutMakingAFile) {
    EXPECT_TRUE(store_.open_ones(kNow).value().empty());
    EXPECT_TRUE(store_.expire(kNow));
    EXPECT_FALSE(std::filesystem::exists(store_.file()));
}

TEST_F(ResponseStoreTest, WhatIsNoDatabaseIsLeftAsItIsAndTriedAgainLater) {
    std::ofstream(store_.file()) << std::string(8192, 'x');
    EXPECT_EQ(store_.add(record("resp_1"), kNow).error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(std::filesystem::file_size(store_.file()), 8192U);
    std::filesystem::remove(store_.file());
    EXPECT_FALSE(store_.add(record("resp_1"), kNow + 1));  // too soon
    EXPECT_TRUE(store_.add(record("resp_1"), kNow + 10));
}

}  // namespace
}  // namespace sutazai::responses
