#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

/// For tests only.
namespace sutazai::catalog {

/// Writes an Ollama store.
class SmallStore {
  public:
    explicit SmallStore(std::filesystem::path root) : root_(std::move(root)) {
        std::filesystem::create_directories(root_ / "blobs");
    }

    struct Layer {
        std::string kind;  ///< "model", "params" and so on
        std::string content;
    };

    /// Returns the blob's digest.
    std::string put_blob(std::string_view content) {
        const std::string hex = to_hex(sutazai::Bytes(sha256(std::as_bytes(std::span(content)))));
        std::ofstream(root_ / "blobs" / ("sha256-" + hex), std::ios::binary) << content;
        return "sha256:" + hex;
    }
    [[nodiscard]] std::filesystem::path blob(std::string_view content) const {
        return root_ / "blobs" / ("sha256-" + to_hex(sutazai::Bytes(sha256(std::as_bytes(std::span(content))))));
    }

    /// `path` is host/namespace/model/tag.
    void put(const std::string& path, const std::vector<Layer>& layers,
             const std::string& config = R"({"model_format":"gguf"})") {
        std::string list;
        for (const Layer& layer : layers) {
            list += fmt::format(R"({}{{"mediaType":"application/vnd.ollama.image.{}","digest":"{}","size":{}}})",
                                list.empty() ? "" : ",", layer.kind, put_blob(layer.content), layer.content.size());
        }
        put_text(path, fmt::format(R"({{"schemaVersion":2,"config":{{"digest":"{}","size":{}}},"layers":[{}]}})",
                                   put_blob(config), config.size(), list));
    }
    void put_text(const std::string& path, std::string_view manifest) {
        const std::filesystem::path file = root_ / "manifests" / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << manifest;
    }

  private:
    std::filesystem::path root_;
};

}  // namespace sutazai::catalog
