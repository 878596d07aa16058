#include "text/multipart.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sutazai::text {
namespace {

struct Part {
    PartHead head;
    std::string data;
    bool ended = false;
};

class Parts final : public PartSink {
  public:
    Result<void> begin(PartHead head) override {
        parts.push_back({std::move(head), {}});
        return {};
    }
    Result<void> data(std::string_view bytes) override {
        parts.back().data += bytes;
        return {};
    }
    Result<void> end() override {
        parts.back().ended = true;
        return {};
    }
    std::vector<Part> parts;
};

Result<std::vector<Part>> read(std::string_view form, std::size_t piece = 1 << 20) {
    Parts sink;
    MultipartReader reader("b");
    for (std::size_t at = 0; at < form.size(); at += piece) {
        if (auto taken = reader.take(form.substr(at, piece), sink); !taken) return std::unexpected(taken.error());
    }
    if (auto done = reader.finish(); !done) return std::unexpected(done.error());
    return std::move(sink.parts);
}

constexpr std::string_view kForm =
    "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
    "--b\r\ncontent-disposition: form-data; filename=\"a \\\"b\\\".jsonl\"; name=file\r\n"
    "Content-Type: application/octet-stream\r\n\r\n"
    "{\"x\": 1}\r\n--\r\n-b\r\n\r\n\r\n--b--\r\n";

TEST(Multipart, GivesPartsWhereverPiecesEnd) {
    for (std::size_t piece = 1; piece <= kForm.size(); ++piece) {
        const auto parts = read(kForm, piece);
        ASSERT_TRUE(parts) << piece << ": " << parts.error().message;
        ASSERT_EQ(parts->size(), 2U);
        EXPECT_EQ((*parts)[0].head.name, "purpose");
        EXPECT_FALSE((*parts)[0].head.is_file);
        EXPECT_EQ((*parts)[0].data, "batch");
        EXPECT_EQ((*parts)[1].head.name, "file");
        EXPECT_EQ((*parts)[1].head.filename, "a \"b\".jsonl");
        EXPECT_EQ((*parts)[1].head.content_type, "application/octet-stream");
        EXPECT_EQ((*parts)[1].data, "{\"x\": 1}\r\n--\r\n-b\r\n\r\n") << piece;
        EXPECT_TRUE((*parts)[1].ended);
    }
}

TEST(Multipart, TakesEmptyPartsInBothWaysThatTheyAreWritten) {
    const auto shared = read("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n--b--");
    ASSERT_TRUE(shared) << shared.error().message;
    EXPECT_EQ(shared->front().data, "");
    const auto apart = read("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--b--", 1);
    ASSERT_TRUE(apart) << apart.error().message;
    EXPECT_EQ(apart->front().data, "");
}

TEST(Multipart, RefusesWhatIsNoForm) {
    const std::string head = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n";
    for (const std::string& form : {
             std::string(),
             std::string("hello"),
             std::string("\r\n--b\r\n"),
             std::string("--c\r\n"),
             std::string("--b\n"),
             std::string("--b"),
             head + "value",
             head + "value\r\n--b",
             head + "value\r\n--b--trailing",
             head + "value\r\n--bye\r\n--b--",
             std::string("--b\r\n\r\nno head\r\n--b--"),
             std::string("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--"),
             std::string("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
             std::string("--b\r\nContent-Disposition: attachment; name=x\r\n\r\nx\r\n--b--"),
             std::string("--b\r\nContent-Disposition: form-data; name=\"x\r\n\r\nx\r\n--b--"),
             std::string("--b\r\nContent-Disposition: form-data; name=x\r\n") + "A: b\nC: d\r\n\r\nx\r\n--b--",
             std::string("--b\r\nContent-Disposition: form-data; name=x\r\nContent-Transfer-Encoding: "
                         "base64\r\n\r\nx\r\n--b--"),
         }) {
        const auto parts = read(form);
        ASSERT_FALSE(parts) << form;
        EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
    }
    const std::string endless = "--b\r\nX: " + std::string(MultipartReader::kMostHeadBytes + 10, 'x');
    EXPECT_FALSE(read(endless, 100));
    std::string many;
    for (int i = 0; i <= MultipartReader::kMostParts; ++i) many += head + "v\r\n";
    EXPECT_FALSE(read(many + "--b--"));
}

TEST(Multipart, FindsTheBoundary) {
    EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=abc"), "abc");
    EXPECT_EQ(multipart_boundary("Multipart/Form-Data ; charset=utf-8; Boundary=\"a b:c\""), "a b:c");
    EXPECT_EQ(multipart_boundary("application/json").error().code, ErrorCode::kUnsupportedMedia);
    for (const std::string& type :
         {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
          std::string("multipart/form-data; boundary=\"a"), "multipart/form-data; boundary=" + std::string(71, 'x'),
          std::string("multipart/form-data; boundary=\"a\xff\"")}) {
        EXPECT_EQ(multipart_boundary(type).error().code, ErrorCode::kInvalidArgument) << type;
    }
}

TEST(Multipart, KeepsOfAPathTheName) {
    EXPECT_EQ(plain_file_name("C:\\a\\b.jsonl"), "b.jsonl");
    EXPECT_EQ(plain_file_name("../../etc/passwd"), "passwd");
    EXPECT_EQ(plain_file_name(".."), "file");
    EXPECT_EQ(plain_file_name("a\nb"), "ab");
    EXPECT_EQ(plain_file_name(""), "file");
    EXPECT_EQ(plain_file_name(std::string(254, 'x') + "\xC3\xA4").size(), 254U);
}

}  // namespace
}  // namespace sutazai::text
