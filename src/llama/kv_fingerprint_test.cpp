#include "llama/kv_fingerprint.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <memory>

#include "llama/testing/test_models.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

TEST(KvFingerprint, FlashAttentionIsAsItIsUsed) {
    const auto model = load_file({test_model(), {}}, llama_model_default_params());
    ASSERT_NE(model, nullptr);
    const auto used = [&](llama_flash_attn_type wanted) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 256;
        params.flash_attn_type = wanted;
        const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(model.get(), params),
                                                                            llama_free);
        return uses_flash_attention(context.get());
    };
    EXPECT_TRUE(used(LLAMA_FLASH_ATTN_TYPE_ENABLED));
    EXPECT_TRUE(used(LLAMA_FLASH_ATTN_TYPE_AUTO)) << "the processor can";
    EXPECT_FALSE(used(LLAMA_FLASH_ATTN_TYPE_DISABLED));
    EXPECT_TRUE(load_test_model()->properties().fingerprint.flash_attention);
}

TEST(KvFingerprint, NamesTheLlamaThatItWasBuiltWith) {
    EXPECT_TRUE(kv_build().llama_version.starts_with("v")) << kv_build().llama_version;
}

}  // namespace
}  // namespace sutazai::llama
