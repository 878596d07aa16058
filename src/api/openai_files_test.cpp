#include "api/openai_files.h"

#include <gtest/gtest.h>

namespace sutazai::api::openai {
namespace {

TEST(OpenAiFiles, TellsOfAFileAsOpenAiDoes) {
    const FileObject file{"file-1", "in.jsonl", "batch", 12, 1000, 0};
    const std::string json =
        R"({"id":"file-1","object":"file","bytes":12,"created_at":1000,"expires_at":null,"filename":"in.jsonl",)"
        R"("purpose":"batch","status":"processed","status_details":null})";
    EXPECT_EQ(encode_file(file), json);
    EXPECT_EQ(encode_files({&file, 1}, true),
              R"({"object":"list","data":[)" + json + R"(],"first_id":"file-1","last_id":"file-1","has_more":true})");
    EXPECT_EQ(encode_files({}, false),
              R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
    EXPECT_EQ(encode_deleted_file("file-1"), R"({"id":"file-1","object":"file","deleted":true})");
}

TEST(OpenAiFiles, ReadsTheForm) {
    const std::vector<FormField> fields{
        {"purpose", "batch"}, {"expires_after[anchor]", "created_at"}, {"expires_after[seconds]", "3600"}};
    const auto form = read_file_form(fields);
    ASSERT_TRUE(form) << form.error().message;
    EXPECT_EQ(form->purpose, "batch");
    EXPECT_EQ(form->expires_after_s, 3600);
}

TEST(OpenAiFiles, RefusesByName) {
    const auto field_of = [](std::vector<FormField> fields) {
        const auto form = read_file_form(fields);
        return form ? "taken" : form.error().field;
    };
    EXPECT_EQ(field_of({}), "purpose");
    EXPECT_EQ(field_of({{"purpose", "fine-tune"}}), "purpose");
    EXPECT_EQ(field_of({{"purpose", "batch_output"}}), "purpose");
    EXPECT_EQ(field_of({{"purpose", "batch"}, {"expires_after[seconds]", "3599"}}), "expires_after[seconds]");
    EXPECT_EQ(field_of({{"purpose", "batch"}, {"expires_after[seconds]", "4000x"}}), "expires_after[seconds]");
    EXPECT_EQ(field_of({{"purpose", "batch"}, {"expires_after[seconds]", "4000"}}), "expires_after");
    EXPECT_EQ(field_of({{"purpose", "batch"}, {"expires_after[anchor]", "now"}}), "expires_after[anchor]");
    const auto unknown = read_file_form(std::vector<FormField>{{"purpose", "batch"}, {"secret", "x"}});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().message.find("secret"), std::string::npos);
}

TEST(OpenAiFiles, ReadsWhichPartOfAListIsWanted) {
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    const auto all = read_list_query(Pairs{}, 20, 100, true);
    ASSERT_TRUE(all);
    EXPECT_EQ(all->limit, 20);
    EXPECT_FALSE(all->ascending);
    const auto some =
        read_list_query(Pairs{{"after", "a"}, {"limit", "5"}, {"order", "asc"}, {"purpose", "batch"}}, 20, 100, true);
    ASSERT_TRUE(some);
    EXPECT_EQ(some->after, "a");
    EXPECT_EQ(some->limit, 5);
    EXPECT_TRUE(some->ascending);
    EXPECT_EQ(some->purpose, "batch");
    EXPECT_EQ(read_list_query(Pairs{{"limit", "101"}}, 20, 100, true).error().field, "limit");
    EXPECT_EQ(read_list_query(Pairs{{"limit", "0"}}, 20, 100, true).error().field, "limit");
    EXPECT_EQ(read_list_query(Pairs{{"order", "up"}}, 20, 100, true).error().field, "order");
}

}  // namespace
}  // namespace sutazai::api::openai
