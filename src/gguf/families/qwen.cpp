#include <algorithm>
#include <string>
#include <vector>

#include "gguf/families/families.h"

namespace sutazai::gguf {

void set_rope_sections(Draft& draft, std::string_view key, const std::vector<std::uint64_t>& sections) {
    std::vector<std::int32_t> four(4, 0);
    for (std::size_t i = 0; i < std::min(sections.size(), four.size()); ++i) {
        four[i] = static_cast<std::int32_t>(sections[i]);
    }
    draft.set_i32s(key, four);
}

namespace {

/// llama.cpp wants one number of KV heads where a file has one for each layer, 0 for those without attention.
void take_most_kv_heads(Draft& draft, const std::string& key, std::uint32_t otherwise) {
    const Value* value = draft.outline().find(key);
    if (value == nullptr || value->type != kArray) return;
    const std::vector<std::uint64_t> heads = draft.outline().numbers(key);
    const auto most = heads.empty() ? 0 : *std::ranges::max_element(heads);
    if (most > 0 || otherwise > 0) draft.set_u32(key, most > 0 ? static_cast<std::uint32_t>(most) : otherwise);
}

/// "blk.<n>.ssm_dt" is a bias. True when there were any.
bool name_time_step_biases(Draft& draft) {
    bool any = false;
    for (Tensor& tensor : draft.tensors()) {
        const auto name = parse_block_name(tensor.name);
        if (!name || name->rest != "ssm_dt") continue;
        tensor.name += ".bias";
        any = true;
    }
    return any;
}

}  // namespace

Changed translate_qwen25vl(Draft& draft) {
    draft.rename_architecture("qwen25vl", "qwen2vl");
    const auto sections = draft.outline().numbers("qwen2vl.rope.mrope_section");
    if (sections.size() >= 3 && !draft.outline().has("qwen2vl.rope.dimension_sections")) {
        set_rope_sections(draft, "qwen2vl.rope.dimension_sections", {sections[0], sections[1], sections[2]});
    }
    drop_vision(draft);
    return true;
}

Changed translate_qwen3vl(Draft& draft) {
    const std::string prefix = std::string(draft.outline().architecture()) + ".";
    const std::string key = prefix + "rope.dimension_sections";
    bool changed = drop_vision(draft);
    if (draft.outline().has(key)) return changed;
    const auto said = draft.outline().numbers(prefix + "rope.mrope_section");
    set_rope_sections(draft, key, said.size() >= 3 ? said : std::vector<std::uint64_t>{24, 20, 20});
    const Value* deep = draft.outline().find(prefix + "vision.deepstack_visual_indexes");
    draft.set_u32_if_missing(prefix + "n_deepstack_layers",
                             deep == nullptr || deep->type != kArray ? 0 : static_cast<std::uint32_t>(deep->count));
    return true;
}

Changed translate_qwen35(Draft& draft) {
    const Outline& outline = draft.outline();
    const std::string prefix = std::string(outline.architecture()) + ".";
    bool old = drop_vision(draft);
    for (const char* key : {"vision.block_count", "image_token_id", "ssm.v_head_reordered", "rope.mrope_interleaved"}) {
        if (!outline.has(prefix + key)) continue;
        draft.remove(prefix + key);
        old = true;
    }
    // Layers that predict more tokens at once are not used; neither are they counted as blocks.
    if (draft.drop_tensors("mtp.")) {
        draft.remove(prefix + "nextn_predict_layers");
        old = true;
    }
    old = name_time_step_biases(draft) || old;
    if (!old) return false;
    take_most_kv_heads(draft, prefix + "attention.head_count_kv", 2);
    const std::string key = prefix + "rope.dimension_sections";
    for (const char* name : {"rope.dimension_sections", "rope.mrope_section", "mrope_sections"}) {
        const auto sections = outline.numbers(prefix + name);
        if (sections.size() < 3) continue;
        if (sections.size() == 3 || !outline.has(key)) set_rope_sections(draft, key, sections);
        break;
    }
    return true;
}

Changed translate_qwen3next(Draft& draft) {
    if (!name_time_step_biases(draft)) return false;
    take_most_kv_heads(draft, "qwen3next.attention.head_count_kv", 0);
    return true;
}

}  // namespace sutazai::gguf
