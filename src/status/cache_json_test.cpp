#include "status/cache_json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <limits>
#include <vector>

#include "base/json_text.h"

namespace sutazai::status {
namespace {

/// The same document as it is written: without blanks, numbers with the fewest digits.
std::string written(std::string_view json) {
    return to_json(boost::json::parse(json));
}

using models::ModelState;
using models::ModelStatus;
using serve::CacheOutcome;

TEST(CacheJson, StatusWritesTheGoldenBytes) {
    ModelStatus warm;
    warm.name = "qwen2.5:3b";
    warm.state = ModelState::kWarm;
    warm.requests = 8;
    warm.found_warm = 7;
    warm.in_use = 2;
    warm.pid = 99;
    warm.estimate = {1, 2, 3, 4};
    warm.expected_bytes = 11;
    warm.measured_bytes = 3 << 19;
    warm.info.shared = {3, 7, 1000, "sibling"};
    warm.paid_by_others = 1024;
    warm.load_time = std::chrono::milliseconds(420);
    warm.pinned = true;
    warm.last_used = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'737'901'852'123));
    warm.stats.prompt_tokens = 100;
    warm.stats.cached_tokens = 25;
    warm.stats.grammar_hits = 9;
    warm.stats.grammar_misses = 4;
    warm.stats.prefixes = 5;
    warm.stats.artifacts = 6;
    warm.stats.artifact_bytes = 7;
    warm.stats.artifact_restored_tokens = 8;
    ModelStatus failed;
    failed.name = "f";
    failed.state = ModelState::kFailed;
    failed.last_error = "no \"GGUF\"";
    failed.crashes = 3;
    failed.last_crash = "it \"hung\"";
    failed.unload_at = warm.last_used;
    warm.file_note = "changed on disk";
    EXPECT_EQ(
        cache_status_json(std::vector{warm, failed}, {3, 2 << 20}, std::vector{models::StandbyStatus{12, 34}}),
        written(
            R"({"action": "status", "config_problem": null, "total_models": 2, "warmed_models": 1, "cache_hit_rate": 87.5, )"
            R"("total_cache_size_mb": 1.5, "prefix_hit_rate": 25.0, "max_models": 3, "max_cache_size_mb": 2.0, )"
            R"("standby_engines": [{"pid": 12, "bytes": 34}], "models": [)"
            R"({"name": "qwen2.5:3b", "alias_of": null, "state": "warm", "load_progress": 0.00, "pid": 99, "bytes_estimated": 10, )"
            R"("bytes_expected": 11, "bytes_measured": 1572864, )"
            R"("shared_weights": {"bytes": 1000, "started_from": "sibling", "bytes_counted_elsewhere": 1024}, )"
            R"("estimate": {"weights": 1, "kv": 2, "compute": 3, "process": 4}, "requests": 8, "found_warm": 7, "in_use": 2, )"
            R"("waiting": 0, "load_ms": 420, "last_used": "2025-01-26T14:30:52.123Z", "pinned": true, "unload_at": null, )"
            R"("prefixes": 5, "prompt_tokens": 100, "cached_tokens": 25, "grammar_hits": 9, "grammar_misses": 4, )"
            R"("crashes": 0, "last_crash": null, )"
            R"("artifacts": {"count": 6, "bytes": 7, "restored_tokens": 8}, "remote": null, "file_note": "changed on disk", "last_error": null}, )"
            R"({"name": "f", "alias_of": null, "state": "failed", "load_progress": 0.00, "pid": 0, "bytes_estimated": 0, "bytes_expected": 0, )"
            R"("bytes_measured": 0, "shared_weights": null, "estimate": {"weights": 0, "kv": 0, "compute": 0, "process": 0}, "requests": 0, )"
            R"("found_warm": 0, "in_use": 0, "waiting": 0, "load_ms": 0, "last_used": null, "pinned": false, )"
            R"("unload_at": "2025-01-26T14:30:52.123Z", "prefixes": 0, "prompt_tokens": 0, "cached_tokens": 0, )"
            R"("grammar_hits": 0, "grammar_misses": 0, "crashes": 3, "last_crash": "it \"hung\"", )"
            R"("artifacts": {"count": 0, "bytes": 0, "restored_tokens": 0}, "remote": null, "file_note": null, "last_error": "no \"GGUF\""}]})"));
    EXPECT_NE(cache_status_json({}, {1, std::numeric_limits<std::uint64_t>::max()}, {})
                  .find(R"("max_cache_size_mb":null,"standby_engines":[])"),
              std::string::npos);
}

TEST(CacheJson, OutcomesSayWhatBecameOfEachModel) {
    const CacheOutcome good{"a", true, "saved 3", ModelState::kWarm, ArtifactReport{.saved = 3, .bytes = 4096}};
    const CacheOutcome bad{"b", false, "'b' is not warm", ModelState::kCold, {}};
    EXPECT_EQ(
        cache_outcomes_json(api::CacheAction::kSave, std::vector{good, bad}),
        written(R"({"action": "save", "success": false, "results": [{"model": "a", "success": true, )"
                R"("message": "saved 3", "state": "warm", "saved": 3, "loaded": 0, "removed": 0, "bytes": 4096}, )"
                R"({"model": "b", "success": false, "message": "'b' is not warm", "state": "cold"}]})"));
    EXPECT_EQ(cache_outcomes_json(api::CacheAction::kPrune, {}),
              written(R"({"action": "prune", "success": true, "results": []})"));
}

}  // namespace
}  // namespace sutazai::status
