// A form with files, read in pieces: where the pieces end must make no difference. The first byte says how long they
// are.
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"
#include "text/multipart.h"

namespace {

using namespace sutazai;

/// Writes down what it is told.
class Book final : public text::PartSink {
  public:
    Result<void> begin(text::PartHead head) override {
        REQUIRE(!open_);
        open_ = true;
        text_ += "<" + head.name + "|" + head.filename + "|" + head.content_type + ">";
        REQUIRE(!text::plain_file_name(head.filename).empty());
        return {};
    }
    Result<void> data(std::string_view bytes) override {
        REQUIRE(open_ && !bytes.empty());
        text_ += bytes;
        return {};
    }
    Result<void> end() override {
        REQUIRE(open_);
        open_ = false;
        text_ += "</>";
        return {};
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
    bool open_ = false;
};

bool read(std::string_view form, std::size_t piece, Book& book) {
    text::MultipartReader reader("b");
    for (std::size_t at = 0; at < form.size(); at += piece) {
        if (auto taken = reader.take(form.substr(at, piece), book); !taken) {
            REQUIRE(!taken.error().message.empty());
            return false;
        }
    }
    return reader.finish().has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view form(reinterpret_cast<const char*>(data) + 1, size - 1);
    Book whole;
    Book pieces;
    const bool taken = read(form, form.size(), whole);
    REQUIRE(read(form, 1 + data[0] % 16, pieces) == taken);
    REQUIRE(!taken || whole.text() == pieces.text());
    (void)text::multipart_boundary(form);
    return 0;
}
