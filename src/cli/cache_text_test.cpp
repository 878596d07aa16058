#include "cli/cache_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::cli {
namespace {

namespace json = boost::json;

const SystemTime kNow = std::chrono::system_clock::from_time_t(1'737'901'852);  // 2025-01-26T14:30:52Z

json::value status() {
    return json::parse(R"({"total_models": 4, "warmed_models": 1, "cache_hit_rate": 87.5, "total_cache_size_mb": 1024.5,
        "prefix_hit_rate": 12.25, "max_models": 3, "max_cache_size_mb": 2048.0, "models": [
        {"name": "chat", "state": "warm", "pid": 4711, "bytes_measured": 1572864, "requests": 8, "found_warm": 7,
         "last_used": "2025-01-26T14:30:40.500Z", "unload_at": "2025-01-26T14:35:52.000Z", "pinned": false, "in_use": 0,
         "prefixes": 5, "artifacts": {"count": 2, "bytes": 2048}, "last_error": null},
        {"name": "code", "state": "loading", "load_progress": 0.5, "bytes_expected": 1048576, "requests": 0,
         "last_used": null},
        {"name": "cold", "state": "cold"},
        {"name": "f", "state": "failed", "pinned": true, "last_error": "'f' could not be loaded: it is no GGUF file"}],
        "standby_engines": [{"pid": 4712, "bytes": 25165824}]})");
}

TEST(CacheText, PsShowsWhatRuns) {
    EXPECT_EQ(ps_table(status(), kNow),
              "NAME  STATE        SIZE     PID   REQUESTS  LAST USE  UNTIL\n"
              "chat  warm         1.5 MiB  4711  8         12 s ago  in 5 min\n"
              "code  loading 50%  ~1 MiB   -     0         never     -\n"
              "-     standby      24 MiB   4712  -         -         a cold model needs it\n");
    EXPECT_EQ(ps_table(json::parse("{}"), kNow), "NAME  STATE  SIZE  PID  REQUESTS  LAST USE  UNTIL\n");
}

TEST(CacheText, StatusShowsEverything) {
    EXPECT_EQ(cache_table(status(), kNow),
              "warm models       1 of 4 (room for 3)\n"
              "memory            1024.5 MiB of 2048.0 MiB\n"
              "cache hit rate    87.5 % of requests found their model warm\n"
              "prefix hit rate   12.2 % of prompt tokens were there already\n"
              "\n"
              "NAME  STATE           SIZE     REQUESTS  FOUND WARM  PREFIXES  ARTIFACTS  LAST USE\n"
              "chat  warm            1.5 MiB  8         7           5         2 (2 KiB)  12 s ago\n"
              "code  loading 50%     ~1 MiB   0         0           0         -          never\n"
              "cold  cold            -        0         0           0         -          never\n"
              "f     failed, pinned  -        0         0           0         -          never\n"
              "\n"
              "f: 'f' could not be loaded: it is no GGUF file\n");
}

TEST(CacheText, OutcomesAreALineEach) {
    EXPECT_EQ(outcome_lines(json::parse(R"({"results": [{"model": "a", "success": true, "message": "is warm"},
                                                        {"model": "b", "success": false, "message": "no room"}]})")),
              "a: is warm\nb: failed: no room\n");
    EXPECT_EQ(outcome_lines(json::parse("[]")), "");
}

TEST(CacheText, TimesAreRelative) {
    EXPECT_EQ(relative_time("2025-01-26T14:30:52.000Z", kNow), "0 s ago");
    EXPECT_EQ(relative_time("2025-01-26T12:30:52.000Z", kNow), "2 h ago");
    EXPECT_EQ(relative_time("2025-01-01T12:30:52.000Z", kNow), "25 days ago");
    EXPECT_EQ(relative_time("2025-01-26T14:40:52.000Z", kNow), "in 10 min");
    EXPECT_EQ(relative_time("soon", kNow), "never");
}

TEST(CacheText, ProgressCountsWhatIsDoneAndWhatLoads) {
    const WarmUpProgress half = warm_up_progress(status(), {"chat", "code"});
    EXPECT_EQ(half.what, "loading code");
    EXPECT_NEAR(half.share, (1 + 0.45) / 2, 1e-9);
    EXPECT_NEAR(warm_up_progress(status(), {}).share, 0.45, 1e-9);
    EXPECT_EQ(warm_up_progress(json::parse("{}"), {"chat"}).share, 0);
}

}  // namespace
}  // namespace sutazai::cli
