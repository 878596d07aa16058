#include "gguf/families/families.h"

namespace sutazai::gguf {

Changed translate_mistral3(Draft& draft) {
    const Outline& outline = draft.outline();
    const bool old = drop_vision(draft) || outline.has("mistral3.rope.scaling.beta_fast") ||
                     outline.has("mistral3.rope.scaling.mscale_all_dim") || outline.has("mistral3.rope.scaling_beta");
    if (!old) return false;
    draft.move("mistral3.rope.scaling.beta_fast", "mistral3.rope.scaling.yarn_beta_fast");
    draft.move("mistral3.rope.scaling.beta_slow", "mistral3.rope.scaling.yarn_beta_slow");
    draft.move("mistral3.rope.scaling.mscale_all_dim", "mistral3.rope.scaling.yarn_log_multiplier");
    draft.move("mistral3.rope.scaling_beta", "mistral3.attention.temperature_scale");
    if (has_no_pre_tokenizer(outline)) draft.set_text("tokenizer.ggml.pre", "tekken");
    return true;
}

}  // namespace sutazai::gguf
