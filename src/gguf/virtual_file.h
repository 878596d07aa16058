#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "gguf/outline.h"
#include "gguf/translate.h"

namespace sutazai::gguf {

/// A GGUF file that is nowhere: a head in memory that says what an outline says, and before each tensor's place the
/// bytes of another file that are its own. Constant after construction; any thread, several at once.
class VirtualFile {
  public:
    /// The file at `path` as llama.cpp expects it; nothing when it does so already (or is no GGUF file: who loads it
    /// says so better). kLoadFailed as translate() has it. Blocks on the disk for milliseconds.
    [[nodiscard]] static Result<std::optional<VirtualFile>> translated(const std::string& path);
    /// `outline` as a file, over the file at `path`, of which it was made. kLoadFailed when it cannot be opened.
    [[nodiscard]] static Result<VirtualFile> over(const std::string& path, const Outline& outline);
    ~VirtualFile();
    VirtualFile(VirtualFile&& other) noexcept;
    VirtualFile& operator=(VirtualFile&&) = delete;

    [[nodiscard]] const Translation& translation() const { return translation_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// Copies `length` bytes from `begin` on, fewer at the end. Nothing when the file below cannot be read; errno says
    /// why. Of a recoded tensor it reads whole blocks, and of every other row those between as well.
    [[nodiscard]] std::optional<std::size_t> read(std::uint64_t begin, char* out, std::size_t length) const;

  private:
    /// Bytes of the virtual file that lie in the file below, one after the other.
    struct Extent {
        std::uint64_t begin = 0;
        std::uint64_t bytes = 0;  ///< here; a recoding may make more of those of `source`
        Piece source;
        Recoding recoding = Recoding::kNone;
    };

    VirtualFile() = default;
    [[nodiscard]] Result<void> write_head(const Outline& outline);
    [[nodiscard]] bool read_source(std::uint64_t begin, char* out, std::size_t length) const;
    [[nodiscard]] bool read_piece(const Piece& piece, std::uint64_t begin, char* out, std::size_t length) const;
    [[nodiscard]] bool read_extent(const Extent& extent, std::uint64_t begin, char* out, std::size_t length) const;

    int file_ = -1;
    Translation translation_;
    std::string head_;
    std::vector<Extent> extents_;  // by `begin`; what lies between two is zero
    std::uint64_t size_ = 0;
};

}  // namespace sutazai::gguf
