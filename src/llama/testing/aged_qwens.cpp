#include "llama/testing/aged_families.h"

namespace sutazai::llama {

using gguf::Draft;

std::vector<AgedFamily> aged_qwens() {
    const std::vector<std::uint32_t> sections{8, 4, 4, 0};
    const auto no_sections = [](const std::string& prefix) {
        return [prefix](Draft& draft, gguf::Outline& outline) {
            draft.remove(prefix + "rope.dimension_sections");
            draft.remove(prefix + "n_deepstack_layers");
            draft.set_i32s(prefix + "vision.deepstack_visual_indexes", std::vector<std::int32_t>{1, 2, 3});
            add_vision(outline);
        };
    };
    const Values deep{{"rope.dimension_sections", std::vector<std::uint32_t>{24, 20, 20, 0}},
                      {"attention.key_length", 128U},
                      {"attention.value_length", 128U},
                      {"n_deepstack_layers", 3U}};
    const Values recurrent{{"rope.dimension_sections", sections},
                           {"ssm.inner_size", 256U},
                           {"ssm.conv_kernel", 4U},
                           {"ssm.state_size", 128U},
                           {"ssm.time_step_rank", 2U},
                           {"ssm.group_count", 2U},
                           {"full_attention_interval", 2U}};
    const auto age_recurrent = [](const std::string& prefix) {
        return [prefix](Draft& draft, gguf::Outline& outline) {
            draft.set_i32s(prefix + "attention.head_count_kv", std::vector<std::int32_t>{0, 1});
            draft.set_i32s(prefix + "rope.dimension_sections", std::vector<std::int32_t>{8, 4, 4});
            draft.set_u32(prefix + "ssm.v_head_reordered", 1);
            draft.rename_part(".ssm_dt.bias", ".ssm_dt");
            add_tensor(outline, "mtp.layers.0.input_layernorm.weight");
            add_tensor(outline, "mtp.fc.weight");
            add_vision(outline);
        };
    };
    std::vector<AgedFamily> out;
    out.push_back(
        {"qwen25vl", {"qwen2vl", {{"rope.dimension_sections", sections}}}, [](Draft& draft, gguf::Outline& outline) {
             draft.rename_architecture("qwen2vl", "qwen25vl");
             draft.remove("qwen25vl.rope.dimension_sections");
             draft.set_i32s("qwen25vl.rope.mrope_section", std::vector<std::int32_t>{8, 4, 4});
             add_vision(outline);
         }});
    out.push_back({"qwen3vl", {"qwen3vl", deep}, no_sections("qwen3vl.")});
    out.push_back({"qwen3vlmoe", {"qwen3vlmoe", with(deep, some_experts())}, no_sections("qwen3vlmoe.")});
    out.push_back({"qwen35", {"qwen35", recurrent}, age_recurrent("qwen35.")});
    out.push_back({"qwen35moe", {"qwen35moe", with(recurrent, some_experts())}, age_recurrent("qwen35moe.")});
    out.push_back({"qwen3next", {"qwen3next", with(recurrent, some_experts())}, [](Draft& draft, gguf::Outline&) {
                       draft.set_i32s("qwen3next.attention.head_count_kv", std::vector<std::int32_t>{0, 1});
                       draft.rename_part(".ssm_dt.bias", ".ssm_dt");
                   }});
    return out;
}
}  // namespace sutazai::llama
