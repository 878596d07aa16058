// What says which models there are: names of Ollama, manifests, models.toml. The first byte says which it is.
#include <cstdint>
#include <string>
#include <string_view>

#include "catalog/models_toml.h"
#include "catalog/ollama_name.h"
#include "catalog/ollama_store.h"
#include "require.h"

namespace {

using namespace sutazai::catalog;

void name(std::string_view text) {
    const auto name = parse_ollama_name(text);
    if (!name) return;
    REQUIRE(parse_ollama_name(name->full()) == name);
    REQUIRE(ollama_name_from_path(name->path()) == name);
    REQUIRE(parse_ollama_name(name->shortest())->key() == name->key());
    REQUIRE(("/" + name->path() + "/").find("/../") == std::string::npos);
    REQUIRE(name->path().find('\0') == std::string::npos);
}

void manifest(std::string_view text) {
    ModelFile model;
    const auto read = read_ollama_manifest(text, "/nowhere/blobs", model);
    REQUIRE(!read);  // there is no blob
    REQUIRE(!read.error().message.empty());
    REQUIRE(model.path.empty() || model.path.size() == std::string_view("/nowhere/blobs/sha256-").size() + 64);
}

void configuration(std::string_view text) {
    const auto models = parse_models_toml(text, "/nowhere");
    REQUIRE(models || models.error().message.starts_with(kModelsToml));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 3) {
        case 0: name(text); break;
        case 1: manifest(text); break;
        default: configuration(text);
    }
    return 0;
}
