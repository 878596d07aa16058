#include "api/image_fields.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "api/anthropic.h"
#include "api/ollama.h"
#include "api/openai.h"
#include "api/responses.h"
#include "api/streaming_v1.h"

namespace sutazai::api {
namespace {

/// The head of a GIF of that size, which is all that is read here.
std::string base64_image(int width = 3) {
    const std::string bytes = std::string("GIF89a") + static_cast<char>(width) + std::string("\0\x02\0\x80\0\0;", 7);
    return to_base64(std::as_bytes(std::span(bytes)));
}
std::string url(int width = 3) {
    return "data:image/gif;base64," + base64_image(width);
}

template <typename Parsed>
std::string refusal(const Parsed& parsed) {
    return parsed ? "accepted" : parsed.error().field + ": " + parsed.error().message;
}

/// "text", "image", ... of a message.
std::string kinds(const ChatMessage& message) {
    std::string out;
    for (const ContentPart& part : message.content) out += part.image != nullptr ? "[image]" : part.text;
    return out;
}
template <typename Parsed>
const Chat& chat_in(const Parsed& parsed) {
    return std::get<Chat>(parsed->generation.prompt);
}

TEST(ImageFields, OpenAisPartsAreTextsAndImagesInOrder) {
    for (const std::string& image : {fmt::format(R"("{}")", url()), fmt::format(R"({{"url":"{}"}})", url()),
                                     fmt::format(R"({{"url":"{}","detail":"high"}})", url())}) {
        const std::string body = fmt::format(
            R"({{"messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"image_url","image_url":{}}},{{"type":"text","text":"b"}}]}}]}})",
            image);
        const auto parsed = openai::parse_chat(body);
        ASSERT_TRUE(parsed) << refusal(parsed);
        EXPECT_EQ(kinds(chat_in(parsed).messages[0]), "a[image]b");
        const auto own = streaming_v1::parse_chat(body);
        ASSERT_TRUE(own) << refusal(own);
        EXPECT_EQ(chat_in(own), chat_in(parsed));
    }
}

TEST(ImageFields, AnthropicsBlocksMayStandInResultsToo) {
    const std::string image = fmt::format(
        R"({{"type":"image","source":{{"type":"base64","media_type":"image/gif","data":"{}"}}}})", base64_image());
    const auto parsed = anthropic::parse_messages(fmt::format(
        R"({{"max_tokens":1,"messages":[{{"role":"user","content":"first"}},{{"role":"user","content":[{},{{"type":"text","text":"what?"}}]}},{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"f","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"1","is_error":true,"content":[{}]}}]}}]}})",
        image, image));
    ASSERT_TRUE(parsed) << refusal(parsed);
    const Chat& chat = chat_in(parsed);
    ASSERT_EQ(chat.messages.size(), 3U);
    EXPECT_EQ(kinds(chat.messages[0]), "first\n\n[image]what?");
    EXPECT_EQ(kinds(chat.messages[2]), "Error: [image]");
}

TEST(ImageFields, OllamasComeFirst) {
    const auto chat =
        ollama::parse_chat(fmt::format(R"({{"messages":[{{"role":"user","content":"what?","images":["{}","{}"]}}]}})",
                                       base64_image(), base64_image(4)));
    ASSERT_TRUE(chat) << refusal(chat);
    EXPECT_EQ(kinds(chat_in(chat).messages[0]), "[image][image]what?");
    const auto generate = ollama::parse_generate(fmt::format(R"({{"prompt":"p","images":["{}"]}})", base64_image()));
    ASSERT_TRUE(generate) << refusal(generate);
    EXPECT_EQ(kinds(chat_in(generate).messages[0]), "[image]p");
    EXPECT_FALSE(generate->generation.returns_tokens) << "an image cannot be given back as tokens";
    for (const char* more : {R"("raw":true)", R"("suffix":"x")"}) {
        EXPECT_EQ(
            refusal(ollama::parse_generate(fmt::format(R"({{"prompt":"p","images":["{}"],{}}})", base64_image(), more)))
                .substr(0, 7),
            "images:");
    }
}

TEST(ImageFields, ResponsesKeepThemAsTheyCame) {
    const auto parsed = responses::parse_create(fmt::format(
        R"({{"model":"m","input":[{{"role":"user","content":[{{"type":"input_text","text":"a"}},{{"type":"input_image","image_url":"{}"}}]}}]}})",
        url()));
    ASSERT_TRUE(parsed) << refusal(parsed);
    EXPECT_EQ(kinds(parsed->items[0].message), "a[image]");
    boost::json::array stored{parsed->items[0].json};
    const auto again = responses::parse_stored(stored);
    ASSERT_TRUE(again) << refusal(again);
    EXPECT_EQ((*again)[0].message, parsed->items[0].message);
}

TEST(ImageFields, WhatIsWrongIsToldWithItsPlace) {
    const auto part = [](const std::string& image) {
        const auto parsed = openai::parse_chat(fmt::format(
            R"({{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{}}}]}}]}})", image));
        return refusal(parsed);
    };
    const std::string at = "messages[0].content[0].image_url";
    EXPECT_EQ(part("7"), at + ": " + at + " must be a URL or an object with one (got a number)");
    EXPECT_EQ(part(R"({"detail":"low"})"), at + ".url: " + at + ".url is missing");
    EXPECT_EQ(part(R"({"url":"data:image/gif;base64,","detail":"x"})"),
              at + ".detail: " + at + ".detail must be auto, low, high or original");
    for (const char* remote :
         {"https://example.com/a.png", "http://127.0.0.1/a.png", "file:///etc/passwd", "a.png", ""}) {
        EXPECT_NE(part(fmt::format(R"("{}")", remote)).find("no images are fetched"), std::string::npos) << remote;
    }
    EXPECT_NE(part(R"("data:image/gif,abc")").find("base64"), std::string::npos);
    EXPECT_EQ(part(R"("data:image/gif;base64,a b")"), at + ": " + at + " is no base64");
    EXPECT_EQ(part(R"("data:image/gif;base64,")"), at + ": " + at + " is empty");
    EXPECT_NE(part(R"("data:image/gif;base64,aGVsbG8=")").find("is no image that is known here"), std::string::npos);
    EXPECT_EQ(refusal(ollama::parse_chat(R"({"messages":[{"role":"user","content":"a","images":[7]}]})")),
              "messages[0].images[0]: messages[0].images[0] must be base64 text (got a number)");
}

TEST(ImageFields, TheirNumberAndTheirSendersAreLimited) {
    const auto with = [](int n, const char* role) {
        std::string parts;
        for (int i = 0; i < n; ++i) {
            parts += fmt::format(R"({}{{"type":"image_url","image_url":"{}"}})", i == 0 ? "" : ",", url());
        }
        return refusal(
            openai::parse_chat(fmt::format(R"({{"messages":[{{"role":"{}","content":[{}]}}]}})", role, parts)));
    };
    EXPECT_EQ(with(32, "user"), "accepted");
    EXPECT_EQ(with(33, "user"), "messages: messages hold 33 images; at most 32 are taken");
    EXPECT_EQ(with(1, "system"),
              "messages: messages hold an image of the system; only the user and tools may send one");
}

}  // namespace
}  // namespace sutazai::api
