#include "models/model_memory.h"

#include <gtest/gtest.h>

namespace sutazai::models {
namespace {

TEST(ModelMemory, WhatWasMeasuredCorrectsTheEstimate) {
    ModelMemory memory(MemoryEstimate{.weights = 1000});
    EXPECT_EQ(memory.expected_bytes(), 1000U);
    memory.learn(1800, true);
    EXPECT_EQ(memory.expected_bytes(), 1800U);
    memory.learn(2600, false);
    EXPECT_EQ(memory.expected_bytes(), 2600U) << "the most counts";
    memory.learn(1000, false);
    EXPECT_EQ(memory.expected_bytes(), 2600U) << "an engine that gives memory back may need it again";
    memory.learn(1000, true);
    EXPECT_EQ(memory.expected_bytes(), 2400U) << "the next engine took less: an eighth is forgotten";
}

TEST(ModelMemory, ACorrectionNeverTakesAllAway) {
    ModelMemory memory(MemoryEstimate{.weights = 1000});
    memory.set_correction(-5000);
    EXPECT_EQ(memory.expected_bytes(), 1U);
}

}  // namespace
}  // namespace sutazai::models
