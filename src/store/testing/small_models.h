#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/model_store.h"

/// For tests: models of a few bytes.
namespace sutazai::store::testing {

inline Digest sum(std::string_view text) {
    return sha256(std::as_bytes(std::span(text)));
}

inline catalog::OllamaName named(std::string_view text) {
    return catalog::parse_ollama_name(text).value();
}

/// Of blobs with these contents.
inline std::string manifest_of(const std::vector<std::string>& blobs) {
    Manifest manifest;
    for (const std::string& blob : blobs) {
        manifest.layers.push_back({std::string(kLayerTypePrefix) + "model", sum(blob), blob.size()});
    }
    return manifest.encode();
}

/// Puts a blob of this content into the store.
inline StoredBlob put(const ModelStore& store, std::string_view content) {
    auto writer = store.new_blob();
    if (!writer) throw std::runtime_error(writer.error().message);
    if (auto added = writer->add(content); !added) throw std::runtime_error(added.error().message);
    auto stored = writer->commit();
    if (!stored) throw std::runtime_error(stored.error().message);
    return std::move(*stored);
}

}  // namespace sutazai::store::testing
