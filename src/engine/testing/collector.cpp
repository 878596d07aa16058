#include "engine/testing/collector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iterator>

namespace sutazai::engine {
namespace {

constexpr std::chrono::seconds kPatience{60};

}  // namespace

void Collector::take(StepReport report) {
    const std::lock_guard lock(mutex_);
    for (auto& [id, update] : report.updates) {
        GenerationUpdate& all = results_[id];
        EXPECT_FALSE(all.last()) << "an update after the last";
        all.delta.content += update.delta.content;
        all.n_tokens += update.n_tokens;
        std::ranges::move(update.scores, std::back_inserter(all.scores));
        all.embedding = std::move(update.embedding);
        all.finished = update.finished;
        all.error = std::move(update.error);
    }
    for (const auto& [id, prompt] : report.prompts) prompts_[id] = prompt;
    if (report.stats) stats_ = *report.stats;
    changed_.notify_all();
}

GenerationUpdate Collector::wait(RequestId id) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return results_[id].last(); }));
    return results_[id];
}

void Collector::wait_for_tokens(RequestId id, std::uint32_t n) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return results_[id].n_tokens >= n; }));
}

std::uint32_t Collector::tokens_of(RequestId id) {
    const std::lock_guard lock(mutex_);
    return results_[id].n_tokens;
}

bool Collector::has_ended(RequestId id) {
    const std::lock_guard lock(mutex_);
    return results_[id].last();
}

PromptProgress Collector::prompt(RequestId id) {
    const std::lock_guard lock(mutex_);
    return prompts_[id];
}

EngineStats Collector::stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
}

}  // namespace sutazai::engine
