#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "llama/grammar.h"
#include "llama/model.h"

/// Tiny models for tests.
namespace sutazai::llama {

/// The file of a synthetic model in F32, in which rounding leaves greedy answers alone, whatever the batch. Made at its
/// first use, gone when the tests end. `pooling`: SynthOptions::pooling, 0 leaves the preset's.
[[nodiscard]] std::string test_model(const std::string& preset = "toy", std::uint32_t pooling = 0);

/// A copy of that file in which a row of a tensor holds nothing but `value`: what a damaged file may hold.
struct Damage {
    std::string tensor;
    int row;
    float value;
};
[[nodiscard]] std::string damaged_test_model(const Damage& damage, const std::string& preset = "toy");

/// That model on one thread with F32 KV.
[[nodiscard]] std::unique_ptr<Model> load_test_model(const std::string& preset = "toy",
                                                     std::uint32_t context_tokens = 1024, std::uint32_t pooling = 0);

/// A grammar at its beginning, or why there is none.
[[nodiscard]] Result<std::unique_ptr<Grammar>> grammar_of(const LanguageModel& model, const GrammarSource& source);

}  // namespace sutazai::llama
