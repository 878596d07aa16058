#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

/// multipart/form-data (RFC 7578), read as it comes: what a form's file holds is handed on and nowhere kept. Pure.
namespace sutazai::text {

/// The boundary of a Content-Type; kUnsupportedMedia when it is no multipart/form-data, kInvalidArgument when it has no
/// boundary, or none that RFC 2046 allows.
[[nodiscard]] Result<std::string> multipart_boundary(std::string_view content_type);

/// One part's head.
struct PartHead {
    std::string name;          ///< of the form's field
    std::string filename;      ///< as it was sent, which may be a path; empty where there is none
    bool is_file = false;      ///< it has a filename, which may be empty
    std::string content_type;  ///< as it was sent; may be empty
};

/// Who is told of the parts. What it returns as an error ends the reading.
class PartSink {
  public:
    virtual ~PartSink() = default;
    [[nodiscard]] virtual Result<void> begin(PartHead head) = 0;
    [[nodiscard]] virtual Result<void> data(std::string_view bytes) = 0;  ///< more of the part; not empty
    [[nodiscard]] virtual Result<void> end() = 0;
};

/// Reads a form in pieces of any size. Strict: nothing stands in front of the first boundary, lines end in CRLF, each
/// part has a Content-Disposition of form-data with a name, and nothing but white space follows the end. Keeps no more
/// than kMostHeadBytes and a boundary.
class MultipartReader {
  public:
    static constexpr std::size_t kMostHeadBytes = 8 << 10;  ///< of one part
    static constexpr int kMostParts = 64;

    explicit MultipartReader(std::string_view boundary);

    /// kInvalidArgument for what is no such form; nothing may be given to it after an error.
    [[nodiscard]] Result<void> take(std::string_view bytes, PartSink& sink);
    /// All has come: kInvalidArgument when the form had not ended.
    [[nodiscard]] Result<void> finish() const;

  private:
    enum class State : std::uint8_t { kStart, kBehindBoundary, kHead, kBegin, kData, kEnded };

    Result<bool> step(PartSink& sink);  // false: more bytes are needed
    Result<bool> read_start();
    Result<bool> read_behind_boundary();
    Result<bool> read_head(PartSink& sink);
    Result<bool> read_begin();
    Result<bool> read_data(PartSink& sink);

    std::string delimiter_;  // CRLF, two hyphens, boundary
    std::string pending_;    // what has come and is not handed on
    std::size_t at_ = 0;     // of pending_, what is done with
    int n_parts_ = 0;
    State state_ = State::kStart;
};

/// The last name of a path that some client sent as a file's name, without what is no text; at most 255 bytes. "file"
/// when nothing is left.
[[nodiscard]] std::string plain_file_name(std::string_view filename);

}  // namespace sutazai::text
