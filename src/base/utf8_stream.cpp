#include "base/utf8_stream.h"

namespace sutazai {

namespace {
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
}

void Utf8Stream::append(std::string_view bytes, std::string& out) {
    std::size_t i = 0;
    while (i < bytes.size()) {
        if (missing_ == 0) {
            const std::size_t start = i;
            while (i < bytes.size() && static_cast<std::uint8_t>(bytes[i]) < 0x80) ++i;
            out.append(bytes, start, i - start);
            if (i == bytes.size()) return;

            const auto lead = static_cast<std::uint8_t>(bytes[i]);
            tail_[0] = bytes[i++];
            if (lead < 0xC2 || lead > 0xF4) {
                out += kReplacement;
                continue;
            }
            tail_size_ = 1;
            missing_ = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
            lowest_ = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
            highest_ = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
            continue;
        }
        const auto byte = static_cast<std::uint8_t>(bytes[i]);
        if (byte < lowest_ || byte > highest_) {
            // The byte is not consumed: it may begin a character itself.
            finish(out);
            continue;
        }
        tail_[tail_size_++] = bytes[i++];
        lowest_ = 0x80;
        highest_ = 0xBF;
        if (--missing_ == 0) out.append(tail_.data(), tail_size_);
    }
}

void Utf8Stream::finish(std::string& out) {
    if (missing_ > 0) out += kReplacement;
    missing_ = 0;
}

}  // namespace sutazai
