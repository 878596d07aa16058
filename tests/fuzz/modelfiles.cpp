// What a model is to be made of, and what it is made of: Modelfiles and manifests. The first byte says which it is.
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"
#include "store/manifest.h"
#include "store/modelfile.h"

namespace {

using namespace sutazai::store;

void modelfile(std::string_view text) {
    const auto recipe = parse_modelfile(text);
    if (!recipe) {
        REQUIRE(!recipe.error().message.empty());
        REQUIRE(recipe.error().code == sutazai::ErrorCode::kInvalidArgument);
        return;
    }
    REQUIRE(!recipe->from.empty());
    // Blank lines and comments say nothing.
    const auto spaced = parse_modelfile("# first\n\n" + std::string(text));
    REQUIRE(spaced || text.starts_with("\xEF\xBB\xBF"));
    REQUIRE(!spaced || *spaced == *recipe);
}

void manifest(std::string_view text) {
    const auto read = parse_manifest(text);
    if (!read) {
        REQUIRE(!read.error().message.empty());
        return;
    }
    const auto again = parse_manifest(read->encode());
    REQUIRE(again && again->layers == read->layers && again->config == read->config);
    // Whatever a manifest names is found, or a removal would take what is used.
    const auto all = digests_in(text);
    REQUIRE(all);
    for (const Layer& layer : read->blobs()) REQUIRE(all->contains(layer.digest));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] % 2 == 0) {
        modelfile(text);
    } else {
        manifest(text);
    }
    return 0;
}
