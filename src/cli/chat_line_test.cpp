#include "cli/chat_line.h"

#include <gtest/gtest.h>

#include <vector>

namespace sutazai::cli {
namespace {

using Kind = ChatCommand::Kind;

/// What the lines make, one entry for each complete text.
std::vector<std::string> typed(const std::vector<std::string>& lines) {
    PromptReader reader;
    std::vector<std::string> out;
    for (const std::string& line : lines) {
        if (auto text = reader.add(line)) out.push_back(std::move(*text));
    }
    if (reader.is_open()) out.emplace_back("(open)");
    return out;
}

TEST(PromptReader, LinesAndTextsOfSeveralLines) {
    using Texts = std::vector<std::string>;
    EXPECT_EQ(typed({"one", "two"}), (Texts{"one", "two"}));
    EXPECT_EQ(typed({"\"\"\"one", "", "two\"\"\"", "three"}), (Texts{"one\n\ntwo", "three"}));
    EXPECT_EQ(typed({"\"\"\"", "one", "\"\"\" "}), (Texts{"\none\n"}));
    EXPECT_EQ(typed({"\"\"\"all in one\"\"\""}), (Texts{"all in one"}));
    EXPECT_EQ(typed({"say \"\"\"this\"\"\" now"}), (Texts{"say \"\"\"this\"\"\" now"})) << "in the middle it is text";
    EXPECT_EQ(typed({"/set system \"\"\"a", "b\"\"\""}), (Texts{"/set system \"\"\"a\nb\"\"\""}));
    EXPECT_EQ(typed({"\"\"\"never"}), (Texts{"(open)"}));
    EXPECT_EQ(typed({"\"\"\""}), (Texts{"(open)"}));
    EXPECT_EQ(typed({"\"\"\"/bye", "\"\"\""}).size(), 1U);
}

TEST(ChatCommand, IsRead) {
    EXPECT_EQ(parse_chat_command("hello")->kind, Kind::kNone);
    EXPECT_EQ(parse_chat_command("/bye")->kind, Kind::kBye);
    EXPECT_EQ(parse_chat_command("/clear")->kind, Kind::kClear);
    EXPECT_EQ(parse_chat_command("/?")->kind, Kind::kHelp);
    EXPECT_EQ(parse_chat_command("/show  modelfile")->name, "modelfile");
    const auto system = parse_chat_command("/set system \"\"\"Be\nbrief.\"\"\"");
    EXPECT_EQ(system->kind, Kind::kSetSystem);
    EXPECT_EQ(system->value, "Be\nbrief.");
    EXPECT_EQ(parse_chat_command("/set system Be brief.")->value, "Be brief.");
    const auto parameter = parse_chat_command("/set parameter stop \"a b\"");
    EXPECT_EQ(parameter->name, "stop");
    EXPECT_EQ(parameter->value, "a b");
    EXPECT_EQ(parse_chat_command("/home/me/file is a path")->kind, Kind::kNone);
    for (const char* wrong : {"/nonsense", "/set", "/set parameter", "/set parameter top_k", "/set system", "/show",
                              "/show everything", "/set colour red", "/load x"}) {
        const auto refused = parse_chat_command(wrong);
        ASSERT_FALSE(refused) << wrong;
        EXPECT_NE(refused.error().message.find("/?"), std::string::npos);
    }
}

TEST(SetParameter, SetsAndSays) {
    GenerationRequest request;
    ASSERT_TRUE(set_parameter(request, "temperature", "0"));
    ASSERT_TRUE(set_parameter(request, "top_k", "3"));
    ASSERT_TRUE(set_parameter(request, "seed", "7"));
    ASSERT_TRUE(set_parameter(request, "num_predict", "-2"));
    ASSERT_TRUE(set_parameter(request, "stop", "a"));
    ASSERT_TRUE(set_parameter(request, "stop", "b"));
    EXPECT_EQ(request.sampling.temperature, 0.0F);
    EXPECT_EQ(request.sampling.top_k, 3);
    EXPECT_EQ(request.sampling.seed, 7U);
    EXPECT_EQ(request.max_tokens, -1);
    EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(request.given.temperature && request.given.top_k && request.given.seed && request.given.stop);
    EXPECT_FALSE(request.given.top_p);
    ASSERT_TRUE(set_parameter(request, "seed", "-1"));
    EXPECT_FALSE(request.sampling.seed) << "a random one again";
    EXPECT_NE(set_parameter(request, "temperature", "5").error().message.find("at most 2"), std::string::npos);
    EXPECT_NE(set_parameter(request, "num_ctx", "4096").error().message.find("loaded"), std::string::npos);
    EXPECT_FALSE(set_parameter(request, "made_up", "1"));
}

TEST(SetSystem, TakesThePlaceOfAnother) {
    Chat chat;
    chat.messages.push_back(text_message(Role::kUser, "Hi"));
    set_system(chat, "One.");
    set_system(chat, "Two.");
    ASSERT_EQ(chat.messages.size(), 2U);
    EXPECT_EQ(chat.messages[0], text_message(Role::kSystem, "Two."));
}

TEST(ImageNamedIn, KnowsPathsOfImages) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(images_named_in("what is in ./cat.PNG and '/a/b.jpeg'?"), (Names{"./cat.PNG", "/a/b.jpeg"}));
    EXPECT_EQ(images_named_in("how do I write a .png file?"), Names{});
    EXPECT_EQ(images_named_in("cat.png"), Names{});
    EXPECT_EQ(images_named_in(""), Names{});
}

}  // namespace
}  // namespace sutazai::cli
