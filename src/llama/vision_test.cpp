// Images: what the projector makes of them, and that the model reads it as llama.cpp's own helper has it read.
#include "llama/vision.h"

#include <gtest/gtest.h>
#include <llama.h>
#include <mtmd-helper.h>
#include <mtmd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "llama/model.h"
#include "llama/testing/test_models.h"
#include "synth/projector.h"

namespace sutazai::llama {
namespace {

/// A BMP file of one colour a pixel, which differs with `seed`.
SharedImage picture(int seed, int side = 40) {
    const auto little = [](std::uint32_t value, int n) {
        std::string out;
        for (int i = 0; i < n; ++i) out += static_cast<char>(value >> (8U * static_cast<unsigned>(i)) & 0xFFU);
        return out;
    };
    const auto n = static_cast<std::uint32_t>(side);
    const std::uint32_t row = (n * 3 + 3) / 4 * 4;
    std::string bytes = "BM" + little(54 + row * n, 4) + little(0, 4) + little(54, 4) + little(40, 4) + little(n, 4) +
                        little(n, 4) + little(1, 2) + little(24, 2) + std::string(24, '\0');
    for (std::uint32_t i = 0; i < row * n; ++i) {
        bytes += static_cast<char>((i * static_cast<std::uint32_t>(seed * 7 + 3) + i / row * 13) & 0xFFU);
    }
    return make_image(std::move(bytes)).value();
}

std::string projector(std::uint32_t embedding = 128) {
    static const TemporaryFolder folder;
    const std::filesystem::path path = folder.path() / ("mmproj-" + std::to_string(embedding) + ".gguf");
    if (!std::filesystem::exists(path)) {
        EXPECT_TRUE(synth::write_projector({.embedding = embedding, .output = path}));
    }
    return path.string();
}

std::unique_ptr<Model> load_seeing(const std::string& preset = "toy") {
    LoadOptions options;
    options.path = test_model(preset);
    options.projector = projector();
    options.context_tokens = 1024;
    options.threads = 1;
    options.kv_type = "f32";
    options.gpu = false;
    auto model = Model::load(options, [](float) {});
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
}

GenerationRequest question(std::vector<ContentPart> parts) {
    GenerationRequest request;
    Chat chat;
    chat.messages.push_back({.role = Role::kUser, .content = std::move(parts)});
    request.prompt = std::move(chat);
    return request;
}

std::vector<float> row(const float* logits, const Model& model) {
    return {logits, logits + model.properties().vocabulary};
}

/// Computes a prompt in chunks of at most `most` tokens.
std::vector<float> compute(Model& model, sched::SlotId slot, const std::vector<Token>& tokens,
                           const PromptImages& images, int most, int from = 0) {
    model.set_images_of([&](sched::RequestId) { return &images; });
    const int n = static_cast<int>(tokens.size());
    for (int at = from; at < n;) {
        int end = std::min(n, at + most);
        for (const ImageRun& run : images) {
            if (at < run.first) end = std::min(end, run.first);
            if (at >= run.first && at < run.first + run.n_tokens) end = std::min(end, run.first + run.n_tokens);
        }
        sched::Step step;
        step.chunks = {{1, slot, at, end - at, end == n}};
        EXPECT_EQ(model.decode(step, [&](RequestId) -> const std::vector<Token>& { return tokens; }),
                  Model::Outcome::kDone);
        at = end;
    }
    return row(model.logits(0), model);
}

float furthest(const std::vector<float>& a, const std::vector<float>& b) {
    float most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
}

/// The prompt of `text` around one image, as mtmd reads and computes it by itself.
std::vector<float> reference(const Model& model, const Image& image, const std::string& before,
                             const std::string& behind) {
    mtmd_context_params params = mtmd_context_params_default();
    params.use_gpu = false;
    params.n_threads = 1;
    const mtmd::context_ptr context(mtmd_init_from_file(projector().c_str(), model.handle(), params));
    const auto* bytes = reinterpret_cast<const unsigned char*>(image.bytes.data());
    const mtmd::bitmap bitmap(mtmd_helper_bitmap_init_from_buf(context.get(), bytes, image.bytes.size(), false,
                                                               mtmd_helper_init_opt_default())
                                  .bitmap);
    const std::string text = before + mtmd_default_marker() + behind;
    const mtmd_input_text input{text.data(), text.size(), true, true};
    const mtmd::input_chunks chunks(mtmd_input_chunks_init());
    const mtmd_bitmap* one = bitmap.ptr.get();
    EXPECT_EQ(mtmd_tokenize(context.get(), chunks.ptr.get(), &input, &one, 1), 0);
    llama_context_params plain = llama_context_default_params();
    plain.n_ctx = plain.n_batch = 512;
    plain.n_threads = plain.n_threads_batch = 1;
    plain.type_k = plain.type_v = GGML_TYPE_F32;
    const std::unique_ptr<llama_context, decltype(&llama_free)> computed(llama_init_from_model(model.handle(), plain),
                                                                         llama_free);
    llama_pos end = 0;
    EXPECT_EQ(mtmd_helper_eval_chunks(context.get(), computed.get(), chunks.ptr.get(), 0, 0, 512, true, &end), 0);
    return row(llama_get_logits_ith(computed.get(), -1), model);
}

TEST(Vision, AModelReadsAnImageAsMtmdItselfHasItRead) {
    const auto model = load_seeing();
    ASSERT_TRUE(model->properties().sees);
    const SharedImage image = picture(1);
    const GenerationRequest request = question({{"Look: "}, {.image = image}, {" What is it?"}});
    PromptImages images;
    const auto tokens = model->tokenize(request, 1024, {}, &images);
    ASSERT_TRUE(tokens) << tokens.error().message;
    ASSERT_EQ(images.size(), 1U);
    EXPECT_EQ(images[0].n_tokens, static_cast<int>(synth::kProjectedRows));
    EXPECT_EQ(images[0].rows->size(), synth::kProjectedRows * 128U);

    const std::string whole = model->chat_text(request, {}).value();
    const std::size_t at = whole.find("<__media__>");
    ASSERT_NE(at, std::string::npos) << whole;
    const std::vector<float> expected =
        reference(*model, *image, whole.substr(0, at), whole.substr(at + std::string("<__media__>").size()));
    EXPECT_LT(furthest(compute(*model, 0, *tokens, images, 512), expected), 0.02F);
    // In pieces, which may cut the image where rows see only those before them.
    EXPECT_LT(furthest(compute(*model, 1, *tokens, images, 5), expected), 0.02F);
    // Another image leads elsewhere.
    PromptImages others;
    const auto other =
        model->tokenize(question({{"Look: "}, {.image = picture(2)}, {" What is it?"}}), 1024, {}, &others);
    EXPECT_GT(furthest(compute(*model, 2, other.value(), others, 512), expected), 0.1F);
}

TEST(Vision, EqualImagesHaveEqualTokensAndAreEncodedOnce) {
    auto loaded = load_seeing();
    const auto read = [&](const SharedImage& image) {
        PromptImages images;
        return loaded->tokenize(question({{.image = image}, {"?"}}), 1024, {}, &images).value();
    };
    const std::vector<Token> one = read(picture(1));
    EXPECT_EQ(std::ranges::count_if(one, [](Token t) { return t < 0; }), synth::kProjectedRows);
    EXPECT_EQ(read(picture(1)), one);
    const std::vector<Token> other = read(picture(2));
    ASSERT_EQ(other.size(), one.size());
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i] == other[i], one[i] >= 0) << i;

    const auto vision = Vision::load({.path = projector()}, loaded->handle()).value();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(vision->see(*picture(1), true, {}));
    EXPECT_EQ(vision->encoded(), 1U);
    ASSERT_TRUE(vision->see(*picture(2), false, {}));
    EXPECT_EQ(vision->encoded(), 1U) << "only counted";
    ASSERT_TRUE(vision->see(*picture(2), true, {}));
    EXPECT_EQ(vision->encoded(), 2U);
}

TEST(Vision, RowsAreKeptWithinTheirBound) {
    const auto model = load_seeing();
    const std::uint64_t one = synth::kProjectedRows * (128 * sizeof(float) + sizeof(Token));
    const auto vision = Vision::load({.path = projector(), .most_kept_bytes = 2 * one}, model->handle()).value();
    for (const int seed : {1, 2, 1, 3, 1, 2}) ASSERT_TRUE(vision->see(*picture(seed), true, {}));
    EXPECT_EQ(vision->encoded(), 4U) << "1, 2 and 3, and 2 again, which was used least recently";
}

TEST(Vision, ACancelledImageIsNotEncoded) {
    const auto model = load_seeing();
    const auto vision = Vision::load({.path = projector()}, model->handle()).value();
    int asked = 0;
    const auto seen = vision->see(*picture(1), true, [&] { return ++asked > 1; });
    ASSERT_FALSE(seen);
    EXPECT_EQ(seen.error().code, ErrorCode::kCancelled);
    EXPECT_GE(asked, 2) << "it is asked on the way";
    EXPECT_EQ(vision->encoded(), 0U);
    ASSERT_TRUE(vision->see(*picture(1), true, {})) << "and is taken later";
}

TEST(Vision, WhatCannotBeReadIsRefusedAndHurtsNobody) {
    const auto model = load_seeing();
    const auto refusal = [&](std::string bytes) {
        const auto image = std::make_shared<const Image>(Image{bytes, sha256(std::as_bytes(std::span(bytes)))});
        PromptImages images;
        const auto tokens = model->tokenize(question({{.image = image}, {"?"}}), 1024, {}, &images);
        return tokens ? std::string("taken") : tokens.error().field + ": " + tokens.error().message;
    };
    const std::string whole = picture(1)->bytes;
    EXPECT_EQ(refusal("hello"),
              "messages: image 1 of the messages: it could not be decoded: it is damaged, or cut off");
    EXPECT_NE(refusal(std::string("\x89PNG\r\n\x1a\n", 8) + std::string(100, 'x')), "taken");
    std::uint32_t random = 7;
    for (int round = 0; round < 300; ++round) {
        std::string damaged = whole.substr(0, 200 + static_cast<std::size_t>(round) * 10);
        for (int i = 0; i < 8; ++i) {
            random = random * 1664525U + 1013904223U;
            damaged[54 + (random >> 8U) % (damaged.size() - 54)] = static_cast<char>(random);
        }
        (void)refusal(damaged);
    }
    EXPECT_EQ(refusal(whole), "taken");
}

TEST(Vision, ImagesNeedAProjectorAndTextBehindThem) {
    const auto blind = load_test_model();
    const auto refused = blind->tokenize(question({{.image = picture(1)}, {"?"}}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "this model takes no images: it has no projector");
    EXPECT_EQ(refused.error().field, "messages");

    const auto model = load_seeing();
    GenerationRequest many = question({{.image = picture(1)}, {.image = picture(2)}, {"?"}});
    PromptImages images;
    const auto too_long = model->tokenize(many, 30, {}, &images);
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().code, ErrorCode::kContextOverflow);
    many.context = {1, 2};
    EXPECT_EQ(model->tokenize(many, 1024, {}, &images).error().field, "context");
}

TEST(Vision, AProjectorOfAnotherWidthIsNotLoaded) {
    LoadOptions options;
    options.path = test_model();
    options.projector = projector(64);
    const auto model = Model::load(options, [](float) {});
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, ErrorCode::kLoadFailed);
    EXPECT_NE(model.error().message.find("projector"), std::string::npos) << model.error().message;
}

}  // namespace
}  // namespace sutazai::llama
