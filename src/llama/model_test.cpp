// The adapter to llama.cpp: states that go out of the KV memory and come back, and files that are no models.
#include "llama/model.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

#include "llama/testing/test_models.h"

namespace sutazai::llama {
namespace {

/// Computes tokens [first, first + n) of a chain in a slot; the logits after the last.
std::vector<float> compute(Model& model, sched::SlotId slot, const std::vector<Token>& chain, int first, int n) {
    sched::Step step;
    step.chunks = {{1, slot, first, n, true}};
    EXPECT_EQ(model.decode(step, [&](RequestId) -> const std::vector<Token>& { return chain; }), Model::Outcome::kDone);
    return {model.logits(0), model.logits(0) + model.properties().vocabulary};
}

TEST(Model, StatesOfAnyRunOfTokensGoOutAndComeBack) {
    const auto model = load_test_model();
    std::vector<Token> chain;
    for (int i = 0; i < 400; ++i) chain.push_back(20 + i * 7 % 300);
    const std::vector<float> expected = compute(*model, 0, chain, 0, 400);
    const KvState first = model->save(0, 0, 256).value();
    const KvState second = model->save(0, 256, 143).value();
    EXPECT_LE(second.size, model->properties().state_bytes_per_token * 143 + 200);

    model->apply(sched::Trim{0, 0});
    ASSERT_TRUE(model->load(3, 0, 0, 256, first));
    ASSERT_TRUE(model->load(3, 256, 256, 143, second));
    EXPECT_EQ(compute(*model, 3, chain, 399, 1).size(), expected.size());
    const std::vector<float> restored(model->logits(0), model->logits(0) + model->properties().vocabulary);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(restored[i], expected[i], 0.02F) << i;

    // Behind a fork that ends inside a block, and only a part of the block.
    model->apply(sched::Fork{3, 4, 300});
    ASSERT_TRUE(model->load(4, 256, 300, 50, second));
    (void)compute(*model, 4, chain, 350, 49);
    const std::vector<float> partly = compute(*model, 4, chain, 399, 1);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(partly[i], expected[i], 0.02F) << i;
}

TEST(Model, StatesThatAreNotWhatTheyShouldBeAreRefused) {
    const auto model = load_test_model();
    std::vector<Token> chain(300, 25);
    (void)compute(*model, 0, chain, 0, 300);
    KvState state = model->save(0, 0, 256).value();
    EXPECT_FALSE(model->load(1, 256, 0, 256, state)) << "begins elsewhere";
    EXPECT_FALSE(model->load(1, 0, 0, 300, state)) << "holds less";
    EXPECT_FALSE(model->load(1, 0, 10, 20, state)) << "leaves a gap behind what the slot holds";
    state.size /= 2;
    EXPECT_FALSE(model->load(1, 0, 0, 100, state)) << "is cut short";
    state.size = 0;
    EXPECT_FALSE(model->load(1, 0, 0, 100, state)) << "is empty";
    // After all of it the slot is empty and the first one intact.
    const std::vector<float> one = compute(*model, 1, chain, 0, 300);
    model->apply(sched::Trim{0, 299});
    const std::vector<float> other = compute(*model, 0, chain, 299, 1);
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], other[i], 0.05F) << i;
}

TEST(Model, FilesThatAreNoModelsAreRefusedWithAReason) {
    LoadOptions options;
    options.path = "/proc/self/exe";
    const auto model = Model::load(options, [](float) {});
    ASSERT_FALSE(model.has_value());
    EXPECT_EQ(model.error().code, ErrorCode::kLoadFailed);
    EXPECT_NE(model.error().message.find("could not be loaded: "), std::string::npos);
}

/// patches/llama.cpp/0003-arrays-in-the-log.patch is in what we are linked with.
TEST(Model, AVocabularyIsNotMadeIntoTextForTheLog) {
    std::ostringstream text;
    const auto logger = spdlog::default_logger();
    const auto to_text =
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
    to_text->set_level(spdlog::level::debug);
    spdlog::set_default_logger(to_text);
    (void)load_test_model();
    spdlog::set_default_logger(logger);
    const std::string log = text.str();
    const std::size_t line = log.find("tokenizer.ggml.tokens");
    ASSERT_NE(line, std::string::npos) << log;
    EXPECT_NE(log.substr(line, log.find('\n', line) - line).find(" values]"), std::string::npos)
        << log.substr(line, 200);
    EXPECT_NE(log.find("kernels for "), std::string::npos);
}

}  // namespace
}  // namespace sutazai::llama
