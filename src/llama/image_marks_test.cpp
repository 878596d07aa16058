#include "llama/image_marks.h"

#include <gtest/gtest.h>

#include <memory>

namespace sutazai::llama {
namespace {

SharedImage image(const std::string& bytes) {
    return std::make_shared<const Image>(Image{bytes, sha256(std::as_bytes(std::span(bytes)))});
}

Chat chat_of(std::vector<ContentPart> parts) {
    Chat chat;
    chat.messages.push_back({.role = Role::kUser, .content = std::move(parts)});
    return chat;
}

std::string text_of(std::vector<ContentPart> parts) {
    const Chat marked = with_marks(chat_of(std::move(parts)), "@", true);
    EXPECT_EQ(marked.messages[0].content.size(), 1U);
    return marked.messages[0].content[0].text;
}

TEST(ImageMarks, TextsAreLinesButNotBesideImages) {
    const ContentPart picture{.image = image("a")};
    EXPECT_EQ(text_of({picture, {"what?"}}), "@0@what?");
    EXPECT_EQ(text_of({{"a"}, {"b"}, picture, {"c"}, {"d"}, picture}), "a\nb@0@c\nd@1@");
    EXPECT_EQ(text_of({picture, picture}), "@0@@1@");
}

TEST(ImageMarks, AMessageWithoutImagesStaysAsItIs) {
    const Chat chat = chat_of({{"a"}, {"b"}});
    EXPECT_EQ(with_marks(chat, "@", true), chat);
    EXPECT_EQ(with_marks(chat_of({{.image = image("x")}}), kImageWord, false).messages[0].content[0].text,
              "<__media__>");
}

TEST(ImageMarks, AreFoundInWhatTheTemplateMakes) {
    const std::vector<TextRun> runs{{"<u>", false}, {"a@1@b", true}, {"</u>@0@", false}, {"@", true}, {"@x@", true}};
    const std::vector<Stretch> expected{{{{"<u>", false}, {"a", true}}, 1},
                                        {{{"b", true}, {"</u>", false}}, 0},
                                        {{{"@", true}, {"@x@", true}}, Stretch::kNone}};
    EXPECT_EQ(split_at_marks(runs, "@"), expected);
    EXPECT_EQ(split_at_marks({}, "@"), std::vector<Stretch>(1));
}

}  // namespace
}  // namespace sutazai::llama
