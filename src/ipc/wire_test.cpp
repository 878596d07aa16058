#include "ipc/wire.h"

#include <gtest/gtest.h>

#include "ipc/frame.h"

namespace sutazai::ipc {
namespace {

/// What arrives at the other process.
template <typename Message>
Message sent(const Message& message) {
    std::string bytes;
    EXPECT_TRUE(append_frame(bytes, message));
    FrameDecoder decoder;
    decoder.feed(bytes);
    const auto payload = decoder.next();
    Message out;
    EXPECT_TRUE(payload && *payload && out.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size())));
    return out;
}

GenerationRequest every_field() {
    GenerationRequest request;
    ChatMessage answer = text_message(Role::kAssistant, "Gern");
    answer.content.push_back({"\xff kein UTF-8"});
    answer.name = "Bo";
    answer.reasoning = "hm";
    answer.tool_calls = {{"1", "wetter", R"({"ort": "日本"})"}, {"2", "zeit", "{}"}};
    const std::string file("GIF89a\0\xff", 8);
    answer.content.push_back(
        {.image = std::make_shared<const Image>(Image{file, sha256(std::as_bytes(std::span(file)))})});
    ChatMessage result = text_message(Role::kTool, "kalt");
    result.tool_call_id = "1";
    request.prompt = Chat{{text_message(Role::kSystem, "Kurz."), text_message(Role::kDeveloper, ""),
                           text_message(Role::kUser, "grüße 日本 🙂"), answer, result},
                          Turn::kOpen};
    request.sampling = {0.0F, 0, 0.5F, 0.25F, 1.5F, -2.0F, 2.0F, 0U};
    request.sampling.logit_bias = {{3, -1.5F}, {151935, -std::numeric_limits<float>::infinity()}};
    request.sampling.more =
        MoreSampling{1, 2, 0.5F, 0.25F, 0.75F, 1.5F, 3, 4, 5, 6, 7, {"\n", "\xff"}, 2, 8, 0.5F, 9, {"dry"}};
    request.max_tokens = 17;
    request.stop = {"</s>", "\n\n"};
    request.ignore_eos = true;
    request.priority = -3;
    request.cache_salt = "tenant";
    request.task = Task::kEmbed;
    request.top_logprobs = 0;
    request.echo = true;
    request.grammar = "root ::= \"a\"";
    request.json_schema = "{}";
    request.n = 5;
    return request;
}

TEST(Wire, SubmitKeepsEveryField) {
    const wire::Submit submit = sent(to_wire(7, every_field()));
    EXPECT_EQ(submit.request_id(), 7U);
    EXPECT_EQ(from_wire(submit), every_field());
}

TEST(Wire, PromptProgressKeepsEveryField) {
    const PromptProgress progress{.prompt_tokens = 100,
                                  .ready_tokens = 90,
                                  .shared_tokens = 1,
                                  .kept_tokens = 2,
                                  .host_tokens = 3,
                                  .artifact_tokens = 4,
                                  .queued = std::chrono::microseconds(5'000'000'000)};
    const wire::PromptProgress message = sent(to_wire(7, progress));
    EXPECT_EQ(message.request_id(), 7U);
    EXPECT_EQ(from_wire(message), progress);
}

TEST(Wire, SubmitKeepsDefaultsAndATextPrompt) {
    GenerationRequest request;
    request.prompt = "plain";
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
    EXPECT_FALSE(from_wire(sent(to_wire(1, request))).sampling.seed);
}

TEST(Wire, TokenIdsStayTokenIds) {
    GenerationRequest request;
    request.prompt = std::vector<std::int32_t>{0, 7, 151935};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
    request.prompt = std::vector<std::int32_t>{};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
}

TEST(Wire, WhatIsAroundAGapStaysTwoTexts) {
    GenerationRequest request;
    request.prompt = Infill{"def f(", "\n    return", "x", {{"a.py", "import b"}, {"", "\xff"}}, true};
    request.least_indent = 4;
    request.most_time = std::chrono::milliseconds(1500);
    request.context = {1, 2, 151935};
    request.truncate = request.returns_tokens = true;
    request.chat_template = "{{ .Prompt }}";
    request.adapters = {{"tone", "/a/tone.gguf", -0.5F}, {"sql", "/b.gguf", 2}};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
    request.prompt = Infill{};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
}

TEST(Wire, APairToRankStaysTwoTexts) {
    GenerationRequest request;
    request.task = Task::kRank;
    request.prompt = RankedPair{"who?", "\xff"};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
}

TEST(Wire, ATextToReadKeepsHowItIsRead) {
    GenerationRequest request;
    request.task = Task::kRead;
    for (const bool around : {false, true}) {
        request.prompt = BareText{"<|im_end|>", around, !around};
        EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
    }
}

TEST(Wire, ATrustingPeerGetsNoMoreAlternativesThanThereMayBe) {
    wire::Submit submit;
    submit.set_top_logprobs(4'000'000'000U);
    EXPECT_EQ(from_wire(submit).top_logprobs, kMaxTopLogprobs);
    EXPECT_EQ(from_wire(submit).n, 1);
    submit.set_n(4'000'000'000U);
    EXPECT_EQ(from_wire(submit).n, kMaxChoices);
}

TEST(Wire, DeltaKeepsEveryField) {
    GenerationUpdate update;
    update.delta = {"ab", "hm", {{0, "call_1", "f", "{"}, {1, "", "", "}"}}};
    update.n_tokens = 2;
    update.scores = {{{"a", 0}, {}, false}, {{"\xc3", -0.5F}, {{"b", -0.25F}, {"\xff", -3}}, true}};
    update.embedding = {0.5F, -0.25F};
    const wire::Delta message = sent(to_wire(9, update));
    const GenerationUpdate got = from_wire(message);
    EXPECT_EQ(message.request_id(), 9U);
    EXPECT_EQ(got.delta, update.delta);
    EXPECT_EQ(got.n_tokens, update.n_tokens);
    EXPECT_EQ(got.scores, update.scores);
    EXPECT_EQ(got.embedding, update.embedding);
}

TEST(Wire, AnEmptyChatStaysAChat) {
    GenerationRequest request;
    request.prompt = Chat{};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
}

TEST(Wire, BytesThatAreNoUtf8Arrive) {
    GenerationRequest request;
    request.prompt = "\xff\xfe";
    request.stop = {"\xc3"};
    EXPECT_EQ(from_wire(sent(to_wire(1, request))), request);
    EXPECT_EQ(from_wire(sent(to_wire(1, Error{ErrorCode::kLoadFailed, "name \xff"}))).message, "name \xff");
    EngineOptions options;
    options.path = "/models/\xff.gguf";
    EXPECT_EQ(from_wire(sent(to_wire(options))).path, options.path);
}

TEST(Wire, FinishedKeepsEveryField) {
    using std::chrono::microseconds;
    for (const auto reason :
         {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled, FinishReason::kToolCalls}) {
        const Finished finished{reason, {1, 2, 3}, {microseconds(4), microseconds(5), microseconds(6)}, {7, 8}};
        const wire::Finished message = sent(to_wire(9, finished));
        EXPECT_EQ(message.request_id(), 9U);
        EXPECT_EQ(from_wire(message), finished);
    }
}

TEST(Wire, FailedKeepsEveryField) {
    for (auto code = ErrorCode::kInvalidArgument; code <= ErrorCode::kInternal;
         code = static_cast<ErrorCode>(static_cast<int>(code) + 1)) {
        const wire::Failed message = sent(to_wire(9, Error{code, "why", "stop", 5}));
        const Error error = from_wire(message);
        EXPECT_EQ(message.request_id(), 9U);
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.message, "why");
        EXPECT_EQ(error.field, "stop");
        EXPECT_EQ(error.retry_after_s, 5);
    }
}

TEST(Wire, UnknownCodesOfANewerPeerAreNotTrusted) {
    wire::Failed failed;
    failed.set_code(1000);
    EXPECT_EQ(from_wire(failed).code, ErrorCode::kInternal);
    wire::Finished finished;
    finished.set_reason(1000);
    EXPECT_EQ(from_wire(finished).reason, FinishReason::kStop);
}

TEST(Wire, LoadKeepsWhatTheEngineNeeds) {
    EngineOptions options;
    options.path = "/m.gguf";
    options.context_tokens = 1;
    options.batch_size = 2;
    options.batch_size_max = 8;
    options.batch_tokens = 3;
    options.threads = 4;
    options.gpu = false;
    options.warmup = false;
    options.batch_timeout_ms = 5;
    options.max_queue = 6;
    options.queue_timeout_ms = 9;
    options.token_gap_ms = 10;
    options.prefix_sharing = false;
    options.prefix_cache_bytes = 1ULL << 33;
    options.artifacts_dir = "/artifacts";
    options.artifact_bytes = 1ULL << 34;
    options.artifact_retention_days = 11;
    options.model_name = "m";
    options.architecture = "qwen2";
    options.vocabulary = 151936;
    options.chat_template = "chatml";
    options.own_template = "{{ messages }}";
    options.renderer = "cogito";
    options.kv_type = "q8_0";
    options.control_tokens_in_messages = true;
    options.share_weights = true;
    options.siblings = {{12, 13, "sibling"}};
    const EngineOptions got = from_wire(sent(to_wire(options)));
    EXPECT_EQ(got.path, "/m.gguf");
    EXPECT_EQ(got.context_tokens, 1U);
    EXPECT_EQ(got.batch_size, 2U);
    EXPECT_EQ(got.batch_size_max, 8U);
    EXPECT_EQ(got.queue_timeout_ms, 9U);
    EXPECT_EQ(got.token_gap_ms, 10U);
    EXPECT_FALSE(got.prefix_sharing);
    EXPECT_EQ(got.prefix_cache_bytes, 1ULL << 33);
    EXPECT_EQ(got.artifacts_dir, "/artifacts");
    EXPECT_EQ(got.artifact_bytes, 1ULL << 34);
    EXPECT_EQ(got.artifact_retention_days, 11U);
    EXPECT_EQ(got.model_name, "m");
    EXPECT_EQ(got.architecture, "qwen2");
    EXPECT_EQ(got.vocabulary, 151936U);
    EXPECT_EQ(got.chat_template, "chatml");
    EXPECT_EQ(got.own_template, "{{ messages }}");
    EXPECT_EQ(got.renderer, "cogito");
    EXPECT_EQ(got.kv_type, "q8_0");
    EXPECT_TRUE(got.control_tokens_in_messages);
    EXPECT_EQ(got.batch_tokens, 3U);
    EXPECT_EQ(got.threads, 4U);
    EXPECT_FALSE(got.gpu);
    EXPECT_FALSE(got.warmup);
    EXPECT_EQ(got.batch_timeout_ms, 5U);
    EXPECT_EQ(got.max_queue, 6U);
    EXPECT_TRUE(got.share_weights);
    ASSERT_EQ(got.siblings.size(), 1U);
    EXPECT_EQ(got.siblings[0].pid, 12);
    EXPECT_EQ(got.siblings[0].fd, 13);
    EXPECT_EQ(got.siblings[0].model, "sibling");
    options.gpu = options.warmup = true;
    EXPECT_TRUE(from_wire(sent(to_wire(options))).gpu);
    EXPECT_TRUE(from_wire(sent(to_wire(options))).warmup);
}

TEST(Wire, WhatAChatSaysOfToolsAndThoughtsIsKept) {
    Chat chat{.messages = {text_message(Role::kUser, "hi")},
              .tools = {{"f", "does", R"({"type":"object"})", true}, {"g"}},
              .tool_choice = ToolChoice::kRequired,
              .named_tool = "g",
              .parallel_tool_calls = false,
              .reasoning = {.wanted = false, .effort = "low", .budget_tokens = 0, .apart = false},
              .template_arguments = R"({"a":1})"};
    GenerationRequest request;
    request.prompt = chat;
    EXPECT_EQ(std::get<Chat>(from_wire(sent(to_wire(1, request))).prompt), chat);
    Finished finished{.usage = {1, 2, 3, 4}};
    EXPECT_EQ(from_wire(sent(to_wire(1, finished))).usage, finished.usage);
}

TEST(Wire, LoadedKeepsEveryField) {
    const ModelInfo info{1, 2, 3, 4, 5, "llama 0.5B Q4_0", true, true, true, true, true, std::chrono::microseconds(6),
                         7};
    const ModelInfo got = from_wire(sent(to_wire(info)));
    EXPECT_EQ(got.context_tokens, 1U);
    EXPECT_EQ(got.context_per_sequence, 2U);
    EXPECT_EQ(got.training_context, 3U);
    EXPECT_EQ(got.weights_bytes, 4U);
    EXPECT_EQ(got.parameters, 5U);
    EXPECT_EQ(got.description, info.description);
    EXPECT_TRUE(got.on_gpu);
    EXPECT_TRUE(got.sees);
    EXPECT_TRUE(got.has_chat_template);
    EXPECT_TRUE(got.knows_tools);
    EXPECT_TRUE(got.thinks);
    EXPECT_EQ(got.load_time.count(), 6);
    EXPECT_EQ(got.untouched_bytes, 7U);
    EXPECT_EQ(got.shared.fd, -1) << "nothing is shared where nothing is said of it";
    ModelInfo sharing = info;
    sharing.shared = {0, 8, 9, "another"};
    const ModelInfo shares = from_wire(sent(to_wire(sharing)));
    EXPECT_EQ(shares.shared.fd, 0);
    EXPECT_EQ(shares.shared.id, 8U);
    EXPECT_EQ(shares.shared.bytes, 9U);
    EXPECT_EQ(shares.shared.sibling, "another");
}

TEST(Wire, StatsKeepEveryField) {
    const EngineStats stats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    const wire::Stats on_the_wire = sent(to_wire(stats));
    EXPECT_EQ(on_the_wire.running(), 1U);
    EXPECT_EQ(on_the_wire.broken_results(), 20U);
    EXPECT_EQ(from_wire(on_the_wire), stats);
}

TEST(Wire, ArtifactReportsKeepEveryField) {
    const ArtifactReport report{1, 2, 3, 4, 5, "5 were not written"};
    const wire::ArtifactReport on_the_wire = sent(to_wire(7, report));
    EXPECT_EQ(on_the_wire.id(), 7U);
    EXPECT_FALSE(on_the_wire.refused());
    EXPECT_EQ(from_wire(on_the_wire), report);
}

}  // namespace
}  // namespace sutazai::ipc
