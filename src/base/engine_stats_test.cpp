#include "base/engine_stats.h"

#include <gtest/gtest.h>

namespace sutazai {
namespace {

TEST(EngineStats, OnlyCountersAddUp) {
    EngineStats sum{.running = 1, .kv_cells = 2, .artifacts = 3, .prompt_tokens = 4, .broken_results = 5};
    sum.add_counters({.running = 10, .kv_cells = 20, .artifacts = 30, .prompt_tokens = 40, .steps = 50});
    EXPECT_EQ(sum,
              (EngineStats{
                  .running = 1, .kv_cells = 2, .artifacts = 3, .prompt_tokens = 44, .steps = 50, .broken_results = 5}));
}

}  // namespace
}  // namespace sutazai
