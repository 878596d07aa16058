#include "cli/show_text.h"

#include <gtest/gtest.h>

namespace sutazai::cli {
namespace {

api::ollama::ModelPage page() {
    api::ollama::ModelPage out;
    out.card = {.name = "m:latest",
                .bytes = 1 << 20,
                .family = "qwen2",
                .parameter_size = "494M",
                .quantization = "Q4_K_M",
                .context_length = 32768,
                .capabilities = {"completion"}};
    out.parameters = "top_k 40\nstop \"a b\"";
    out.system = "One.\nTwo.\n\nThree.\nFour.";
    out.license = "MIT";
    out.chat_template = "{{ x }}";
    out.modelfile = "FROM m\n";
    out.model_info = {{"general.name", "N"}};
    return out;
}

TEST(ShowText, TellsOfTheModel) {
    EXPECT_EQ(show_text(page(), ShowWhat::kAll),
              "  Model\n"
              "    architecture      qwen2\n"
              "    parameters        494M\n"
              "    context length    32768\n"
              "    quantization      Q4_K_M\n"
              "    size              1 MiB\n\n"
              "  Capabilities\n"
              "    completion\n\n"
              "  Parameters\n"
              "    top_k    40\n"
              "    stop     \"a b\"\n\n"
              "  System\n"
              "    One.\n"
              "    Two.\n"
              "    Three.\n"
              "    ...\n\n"
              "  License\n"
              "    MIT\n\n");
    EXPECT_NE(show_text(page(), ShowWhat::kVerbose).find("general.name    \"N\""), std::string::npos);
}

TEST(ShowText, OneThingAloneIsPrintedAsItIs) {
    EXPECT_EQ(show_text(page(), ShowWhat::kSystem), "One.\nTwo.\n\nThree.\nFour.\n");
    EXPECT_EQ(show_text(page(), ShowWhat::kModelfile), "FROM m\n");
    EXPECT_EQ(show_text(page(), ShowWhat::kParameters), "top_k 40\nstop \"a b\"\n");
    EXPECT_EQ(show_text(page(), ShowWhat::kTemplate), "{{ x }}\n");
    EXPECT_EQ(show_text(page(), ShowWhat::kLicense), "MIT\n");
    EXPECT_EQ(show_text({}, ShowWhat::kSystem), "");
}

}  // namespace
}  // namespace sutazai::cli
