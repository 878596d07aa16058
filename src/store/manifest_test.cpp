#include "store/manifest.h"

#include <gtest/gtest.h>

namespace sutazai::store {
namespace {

Digest digest_of(std::string_view text) {
    return sha256(std::as_bytes(std::span(text)));
}

TEST(Manifest, ReadsBackWhatItWrites) {
    Manifest manifest;
    manifest.config = Layer{std::string(kConfigType), digest_of("config"), 6};
    manifest.layers = {{std::string(kLayerTypePrefix) + "model", digest_of("weights"), 7},
                       {std::string(kLayerTypePrefix) + "license", digest_of("one"), 3},
                       {std::string(kLayerTypePrefix) + "license", digest_of("one"), 3}};
    const auto read = parse_manifest(manifest.encode());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->config, manifest.config);
    EXPECT_EQ(read->layers, manifest.layers);
    EXPECT_EQ(read->blobs().size(), 3U) << "the licence is one blob";
    EXPECT_EQ(read->blobs().back().digest, digest_of("config"));
    ASSERT_NE(read->find("model"), nullptr);
    EXPECT_EQ(read->find("model")->bytes, 7U);
    EXPECT_EQ(read->find("mod"), nullptr);
    EXPECT_EQ(digests_in(manifest.encode())->size(), 3U);
}

TEST(Manifest, IsWrittenAsOllamaWritesIt) {
    Manifest manifest;
    manifest.config = Layer{std::string(kConfigType), digest_of("c"), 1};
    manifest.layers = {{std::string(kLayerTypePrefix) + "model", digest_of("m"), 2}};
    EXPECT_EQ(manifest.encode(),
              R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
              R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":")" +
                  to_text(digest_of("c")) +
                  R"(","size":1},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":")" +
                  to_text(digest_of("m")) + R"(","size":2}]})");
}

TEST(Manifest, RefusesNonsense) {
    const std::string good = to_text(digest_of("x"));
    for (const std::string& text :
         {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"layers":{}})"),
          std::string(R"({"manifests":[]})"), std::string(R"({"layers":[1]})"),
          std::string(R"({"layers":[{"digest":"sha256:../../etc/passwd","size":1}]})"),
          R"({"layers":[{"digest":")" + good + R"("}]})", R"({"layers":[{"digest":")" + good + R"(","size":-1}]})",
          R"({"layers":[{"digest":")" + good + R"(","size":1.5}]})",
          R"({"layers":[{"digest":")" + good + R"(","size":18446744073709551615}]})",
          std::string(R"({"config":{"digest":"nonsense","size":1},"layers":[]})"),
          std::string(kMostManifestBytes + 1, ' ')}) {
        EXPECT_FALSE(parse_manifest(text)) << text.substr(0, 200);
    }
    EXPECT_TRUE(parse_manifest(R"({"config":{"digest":"","size":0},"layers":[]})")) << "an empty config is none";
    EXPECT_FALSE(digests_in("{"));
}

TEST(Digest, IsRead) {
    const std::string hex(64, 'a');
    EXPECT_TRUE(parse_digest("sha256:" + hex));
    EXPECT_EQ(parse_digest("sha256-" + std::string(64, 'A')), parse_digest("sha256:" + hex));
    EXPECT_EQ(to_text(*parse_digest("sha256-" + hex)), "sha256:" + hex);
    for (const std::string& text : {hex, "sha256:" + hex + "a", "sha512:" + hex, "sha256:" + std::string(63, 'a') + "g",
                                    std::string("sha256:..")}) {
        EXPECT_FALSE(parse_digest(text)) << text;
    }
}

}  // namespace
}  // namespace sutazai::store
