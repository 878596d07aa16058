#pragma once

#include <cstdint>
#include <string>

namespace sutazai::llama {

/// A LoRA file of random numbers as convert_lora_to_gguf.py writes them.
struct TestAdapter {
    std::uint32_t seed = 1;
    int rank = 4;
    float alpha = 8;
    bool f16 = false;
    std::string part = ".weight";   ///< only for weights whose name holds this
    std::string architecture = {};  ///< empty: the model's
    std::string type = "adapter";   ///< general.type
    int more_rows = 0;              ///< added to each B: not what the model has
    bool without_b = false;         ///< halves are missing
    bool with_nan = false;
};

/// Writes one for the linear weights of the blocks of the model in `model_path`.
void write_test_adapter(const std::string& model_path, const std::string& path, const TestAdapter& what);

}  // namespace sutazai::llama
