#include "llama/testing/test_adapters.h"

#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include "gguf/byte_reader.h"
#include "gguf/outline.h"

namespace sutazai::llama {

void write_test_adapter(const std::string& model_path, const std::string& path, const TestAdapter& what) {
    auto model = gguf::open_model_file(model_path);
    ASSERT_TRUE(model.has_value());
    const auto outline = gguf::read_outline(model->in, model->size);
    ASSERT_TRUE(outline.has_value());
    ggml_init_params params{};
    params.mem_size = std::size_t{256} << 20;
    const ggml_context_ptr context(ggml_init(params));
    const gguf_context_ptr file(gguf_init_empty());
    gguf_set_val_str(file.get(), "general.type", what.type.c_str());
    const std::string architecture =
        what.architecture.empty() ? std::string(outline->architecture()) : what.architecture;
    gguf_set_val_str(file.get(), "general.architecture", architecture.c_str());
    gguf_set_val_str(file.get(), "adapter.type", "lora");
    gguf_set_val_f32(file.get(), "adapter.lora.alpha", what.alpha);
    std::mt19937 random(what.seed);
    const auto add = [&](const std::string& name, std::int64_t columns, std::int64_t rows, float spread) {
        ggml_tensor* tensor =
            ggml_new_tensor_2d(context.get(), what.f16 ? GGML_TYPE_F16 : GGML_TYPE_F32, columns, rows);
        std::normal_distribution<float> numbers(0, spread);
        for (std::int64_t i = 0; i < columns * rows; ++i) {
            float number = numbers(random);
            if (what.with_nan && i == 3) number = std::numeric_limits<float>::quiet_NaN();
            if (what.f16) {
                static_cast<ggml_fp16_t*>(tensor->data)[i] = ggml_fp32_to_fp16(number);
            } else {
                static_cast<float*>(tensor->data)[i] = number;
            }
        }
        ggml_set_name(tensor, name.c_str());
        gguf_add_tensor(file.get(), tensor);
    };
    for (const gguf::Tensor& weight : outline->tensors) {
        const std::string_view name = weight.name;
        const bool linear = name.starts_with("blk.") && name.ends_with(".weight") && weight.dimensions == 2;
        if (!linear || name.find(what.part) == std::string_view::npos) continue;
        const auto n_in = static_cast<std::int64_t>(weight.shape[0]);
        const auto n_out = static_cast<std::int64_t>(weight.shape[1]) + what.more_rows;
        add(weight.name + ".lora_a", n_in, what.rank, 1 / std::sqrt(static_cast<float>(n_in)));
        if (!what.without_b) add(weight.name + ".lora_b", what.rank, n_out, 0.3F);
    }
    ASSERT_TRUE(gguf_write_to_file(file.get(), path.c_str(), false));
}

}  // namespace sutazai::llama
