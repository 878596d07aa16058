#include "base/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace sutazai {
namespace {

using namespace std::string_view_literals;

/// Reads numbers out of bytes; past their end nothing is read, and `failed` says so.
class Head {
  public:
    explicit Head(std::string_view bytes) : bytes_(bytes) {}

    std::uint32_t byte(std::size_t at) {
        if (at >= bytes_.size()) {
            failed_ = true;
            return 0;
        }
        return static_cast<unsigned char>(bytes_[at]);
    }
    std::uint32_t big(std::size_t at, int n) {
        std::uint32_t value = 0;
        for (int i = 0; i < n; ++i) value = value << 8U | byte(at + static_cast<std::size_t>(i));
        return value;
    }
    std::uint32_t little(std::size_t at, int n) {
        std::uint32_t value = 0;
        for (int i = n; i-- > 0;) value = value << 8U | byte(at + static_cast<std::size_t>(i));
        return value;
    }
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    std::string_view bytes_;
    bool failed_ = false;
};

/// The size is in the first frame header; segments before it say how long they are.
ImageSize jpeg_size(Head& head) {
    for (std::size_t at = 2; !head.failed();) {
        if (head.byte(at) != 0xFF) return {};
        const std::uint32_t kind = head.byte(at + 1);
        if (kind == 0xFF) {  // padding
            ++at;
            continue;
        }
        const bool is_frame = kind >= 0xC0 && kind <= 0xCF && kind != 0xC4 && kind != 0xC8 && kind != 0xCC;
        if (is_frame) return {head.big(at + 7, 2), head.big(at + 5, 2)};
        const bool stands_alone = kind == 0x01 || (kind >= 0xD0 && kind <= 0xD8);
        if (kind == 0xD9 || kind == 0xDA) return {};
        at += stands_alone ? 2 : 2 + std::max(2U, head.big(at + 2, 2));
    }
    return {};
}

ImageSize bmp_size(Head& head) {
    if (head.little(14, 4) == 12) return {head.little(18, 2), head.little(20, 2)};
    const auto height = static_cast<std::int32_t>(head.little(22, 4));  // below zero: from the top down
    return {head.little(18, 4),
            height < 0 ? 0U - static_cast<std::uint32_t>(height) : static_cast<std::uint32_t>(height)};
}

std::unexpected<Error> wrong(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

}  // namespace

Result<ImageSize> read_image_head(std::string_view bytes) {
    Head head(bytes);
    ImageSize size;
    if (bytes.empty()) return wrong("is empty");
    if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) {
        size = {head.big(16, 4), head.big(20, 4)};
        if (bytes.substr(0, 16).ends_with("CgBI")) return wrong("is a PNG file of Apple's own kind");
    } else if (bytes.starts_with("\xff\xd8\xff"sv)) {
        size = jpeg_size(head);
    } else if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) {
        size = {head.little(6, 2), head.little(8, 2)};
    } else if (bytes.starts_with("BM")) {
        size = bmp_size(head);
    } else if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) {
        return wrong("is a WebP image, which is not supported; PNG, JPEG, GIF and BMP are");
    } else {
        return wrong("is no image that is known here; PNG, JPEG, GIF and BMP are");
    }
    if (head.failed()) return wrong("is cut off before it says how large the image is");
    if (size.width == 0 || size.height == 0) return wrong("is an image without a size");
    const auto [shorter, longer] = std::minmax(size.width, size.height);
    if (std::uint64_t{size.width} * size.height > kMostImagePixels) {
        return wrong(fmt::format("is an image of {} x {} pixels; at most {} are taken", size.width, size.height,
                                 kMostImagePixels));
    }
    if (std::uint64_t{shorter} * kMostImageProportion < longer) {
        return wrong(fmt::format("is an image of {} x {} pixels; the longer side may be at most {} times the shorter",
                                 size.width, size.height, kMostImageProportion));
    }
    return size;
}

std::string_view media_type_of(std::string_view bytes) {
    if (bytes.starts_with("\xff\xd8")) return "image/jpeg";
    if (bytes.starts_with("GIF8")) return "image/gif";
    return bytes.starts_with("BM") ? "image/bmp" : "image/png";
}

Result<SharedImage> make_image(std::string bytes) {
    if (bytes.size() > kMostImageBytes) {
        return wrong(fmt::format("has {} bytes; at most {} are taken", bytes.size(), kMostImageBytes));
    }
    if (auto size = read_image_head(bytes); !size) return std::unexpected(std::move(size.error()));
    const Digest digest = sha256(std::as_bytes(std::span(bytes)));
    return std::make_shared<const Image>(Image{std::move(bytes), digest});
}

}  // namespace sutazai
