#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"

/// Images that come with a request. Pure; any thread.
namespace sutazai {

// What is decoded is held in memory several times over, as three bytes for each pixel.
inline constexpr std::size_t kMostImages = 32;                                  ///< of one request
inline constexpr std::size_t kMostImageBytes = std::size_t{20} << 20;           ///< of one image's file
inline constexpr std::size_t kMostImageBytesOfRequest = std::size_t{40} << 20;  ///< of all of them
inline constexpr std::uint64_t kMostImagePixels = std::uint64_t{1} << 25;       ///< width times height
inline constexpr std::uint32_t kMostImageProportion = 200;                      ///< the longer side by the shorter

/// A file that holds an image, as it came.
struct Image {
    std::string bytes;
    Digest digest;  ///< SHA-256 of `bytes`

    bool operator==(const Image& other) const { return digest == other.digest; }
};
using SharedImage = std::shared_ptr<const Image>;

struct ImageSize {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
};

/// What the head of a PNG, JPEG, GIF or BMP file says of it. kInvalidArgument, with a clause for a message, when it is
/// none of these, is cut off within its head, or says what is beyond the limits above.
[[nodiscard]] Result<ImageSize> read_image_head(std::string_view bytes);

/// "image/png" and the like, by the first bytes of a file that read_image_head() takes.
[[nodiscard]] std::string_view media_type_of(std::string_view bytes);

/// The image in such a file, if its head and its size are within the limits; fails as read_image_head().
[[nodiscard]] Result<SharedImage> make_image(std::string bytes);

}  // namespace sutazai
