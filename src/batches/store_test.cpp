#include "batches/store.h"

#include <gtest/gtest.h>

#include "batches/testing/store_folder.h"

namespace sutazai::batches {
namespace {

using testing_support::StoreTest;

TEST_F(StoreTest, NothingIsMadeBeforeSomethingIsKept) {
    EXPECT_FALSE(store_.exists());
    EXPECT_FALSE(std::filesystem::exists(store_.folder()));
    ASSERT_TRUE(store_.add_file("", file("file-1"), 1000));
    EXPECT_TRUE(store_.exists());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store_.folder())) {
        const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
        EXPECT_EQ(entry.status().permissions() & others, std::filesystem::perms::none) << entry.path();
    }
}

TEST_F(StoreTest, KeepsFilesOfTenantsApart) {
    ASSERT_TRUE(store_.add_file("a", file("file-1"), 1000));
    ASSERT_TRUE(store_.add_file("b", file("file-2"), 1000));
    EXPECT_TRUE(store_.file("a", "file-1", 0));
    EXPECT_EQ(store_.file("b", "file-1", 0).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.remove_file("b", "file-1", 0).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.files("a", {.limit = 10}, 0)->items.size(), 1U);
    EXPECT_EQ(store_.files("b", {.after = "file-1", .limit = 10}, 0).error().field, "after");
    EXPECT_TRUE(store_.remove_file("a", "file-1", 0));
    EXPECT_EQ(store_.file("a", "file-1", 0).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreTest, ListsInPages) {
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(store_.add_file("", file("file-" + std::to_string(i)), 1000));
    const auto first = store_.files("", {.limit = 2}, 0);
    ASSERT_EQ(first->items.size(), 2U);
    EXPECT_EQ(first->items[0].id, "file-5");
    EXPECT_TRUE(first->has_more);
    const auto last = store_.files("", {.after = "file-2", .limit = 2}, 0);
    ASSERT_EQ(last->items.size(), 1U);
    EXPECT_EQ(last->items[0].id, "file-1");
    EXPECT_FALSE(last->has_more);
    const auto ascending = store_.files("", {.after = "file-2", .purpose = "batch", .limit = 9, .ascending = true}, 0);
    ASSERT_EQ(ascending->items.size(), 3U);
    EXPECT_EQ(ascending->items[0].id, "file-3");
    EXPECT_TRUE(store_.files("", {.purpose = "user_data", .limit = 9}, 0)->items.empty());
}

TEST_F(StoreTest, HoldsAllFilesToTheirLimit) {
    ASSERT_TRUE(store_.add_file("a", file("file-1", 600), 1000));
    EXPECT_EQ(store_.add_file("b", file("file-2", 401), 1000).error().code, ErrorCode::kPayloadTooLarge);
    EXPECT_TRUE(store_.add_file("b", file("file-2", 400), 1000));
    EXPECT_EQ(store_.bytes_in_all(), 1000U);
}

TEST_F(StoreTest, FilesPastTheirTimeAreNotThere) {
    FileObject brief = file("file-1");
    brief.expires_unix_s = 100;
    ASSERT_TRUE(store_.add_file("", brief, 1000));
    EXPECT_TRUE(store_.file("", "file-1", 99));
    EXPECT_EQ(store_.file("", "file-1", 100).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(store_.files("", {.limit = 9}, 100)->items.empty());
    EXPECT_TRUE(store_.remove_expired_files(99)->empty());
    EXPECT_EQ(*store_.remove_expired_files(100), std::vector<std::string>{"file-1"});
    EXPECT_FALSE(*store_.has_file("file-1"));
}

TEST_F(StoreTest, ABatchsInputStaysUntilItHasEnded) {
    FileObject brief = file("file-1");
    brief.expires_unix_s = 100;
    ASSERT_TRUE(store_.add_file("", brief, 1000));
    const auto batch = store_.add_batch("", order("file-1"), 50);
    ASSERT_TRUE(batch) << batch.error().message;
    EXPECT_EQ(store_.remove_file("", "file-1", 60).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(store_.remove_expired_files(200)->empty());
    ASSERT_TRUE(*store_.end(batch->number, BatchStatus::kCancelled, {}, {}, 70));
    EXPECT_TRUE(store_.remove_file("", "file-1", 60));
}

TEST_F(StoreTest, TakesOnlyInputOfOnesOwn) {
    FileObject data = file("file-2");
    data.purpose = "user_data";
    ASSERT_TRUE(store_.add_file("a", file("file-1"), 1000));
    ASSERT_TRUE(store_.add_file("a", data, 1000));
    EXPECT_EQ(store_.add_batch("b", order("file-1"), 0).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.add_batch("a", order("file-2"), 0).error().code, ErrorCode::kInvalidArgument);
    const auto batch = store_.add_batch("a", order("file-1"), 10);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->object.status, BatchStatus::kValidating);
    EXPECT_EQ(batch->object.expires_at, 10 + 86400);
    EXPECT_EQ(store_.batch("b", batch->object.id).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_.cancel("b", batch->object.id, 0).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(store_.batches("b", {.limit = 9})->items.empty());
    EXPECT_EQ(store_.batches("a", {.limit = 9})->items.size(), 1U);
}

TEST_F(StoreTest, ALineHasOneResultWhateverComes) {
    const std::int64_t batch = begun({"a", "b", "c"});
    EXPECT_EQ(*store_.add_results(batch, std::vector<LineResult>{{1, true, 0, 10, {5, 0, 2, 0}}, {2, false, 10, 5}}),
              2);
    EXPECT_EQ(*store_.add_results(batch, std::vector<LineResult>{{1, false, 99, 9}, {3, true, 15, 5}}), 1);
    const BatchObject object = store_.unfinished()->front().object;
    EXPECT_EQ(object.counts, (BatchCounts{3, 2, 1}));
    EXPECT_EQ(object.usage.input, 5);
    const auto outcomes = store_.outcomes(batch, 0, 10);
    ASSERT_EQ(outcomes->size(), 3U);
    EXPECT_TRUE((*outcomes)[0].result.succeeded);
    EXPECT_EQ((*outcomes)[0].result.bytes, 10U);
    EXPECT_FALSE((*outcomes)[1].result.succeeded);
    EXPECT_TRUE(store_.open_lines(batch, nullptr, 9)->empty());
}

TEST_F(StoreTest, LinesComeByModelThenByWhatTheyShare) {
    const std::int64_t batch = validating();
    const std::vector<LineRecord> lines{{1, "a", "n", "kb", 0, 1},
                                        {2, "b", "m", "kb", 0, 1},
                                        {3, "c", "m", "ka", 0, 1},
                                        {4, "d", "m", "ka", 0, 1},
                                        {5, "a", "m", "ka", 0, 1}};
    const auto twice = store_.add_lines(batch, lines);
    ASSERT_EQ(twice->size(), 1U);
    EXPECT_EQ(twice->front().number, 5);
    const auto first = store_.open_lines(batch, nullptr, 3);
    ASSERT_EQ(first->size(), 3U);
    EXPECT_EQ((*first)[0].number, 3);
    EXPECT_EQ((*first)[1].number, 4);
    EXPECT_EQ((*first)[2].number, 2);
    const auto rest = store_.open_lines(batch, &first->back(), 3);
    ASSERT_EQ(rest->size(), 1U);
    EXPECT_EQ(rest->front().number, 1);
}

TEST_F(StoreTest, ACancelledBatchDoesNotGoOn) {
    const std::int64_t batch = validating();
    const std::string id = store_.unfinished()->front().object.id;
    ASSERT_TRUE(store_.cancel("", id, 5));
    EXPECT_EQ(store_.cancel("", id, 6)->object.cancelling_at, 5);
    EXPECT_FALSE(*store_.begin_work(batch, 7));
    EXPECT_FALSE(*store_.begin_finalizing(batch, 7));
    EXPECT_TRUE(*store_.end(batch, BatchStatus::kCancelled, {}, {}, 8));
    EXPECT_FALSE(*store_.end(batch, BatchStatus::kCompleted, {}, {}, 9));
    EXPECT_EQ(store_.batch("", id)->object.cancelled_at, 8);
    EXPECT_EQ(store_.cancel("", id, 9).error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(store_.unfinished()->empty());
    ASSERT_TRUE(store_.remove_batches_before(8));
    EXPECT_TRUE(store_.batch("", id));
    ASSERT_TRUE(store_.remove_batches_before(9));
    EXPECT_EQ(store_.batch("", id).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreTest, IdsAreLongAndDiffer) {
    EXPECT_EQ(new_id("file-").size(), 37U);
    EXPECT_NE(new_id("file-"), new_id("file-"));
}

}  // namespace
}  // namespace sutazai::batches
