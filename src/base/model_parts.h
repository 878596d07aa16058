#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct stat;

/// The files that a model's weights lie in, and whether they are still the same ones. Any thread; stamps are asked of
/// the disk.
namespace sutazai {

/// Everything about a file that changes when its content does.
struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0;  ///< Unix time
    std::int64_t changed_ns = 0;   ///< of the inode

    bool operator==(const FileStamp&) const = default;
    [[nodiscard]] bool same_file(const FileStamp& other) const {
        return device == other.device && inode == other.inode;
    }
    /// The same bytes: other names or rights count for nothing.
    [[nodiscard]] bool same_content(const FileStamp& other) const {
        return same_file(other) && bytes == other.bytes && modified_ns == other.modified_ns;
    }
};
using FileStamps = std::vector<FileStamp>;  ///< of a model, in the order of its files

[[nodiscard]] FileStamp stamp_of(const struct stat& status);
/// Links are followed; nullopt when there is no regular file.
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::string& path);

/// The name of one file of a model that llama.cpp's gguf-split made into several: <model>-00001-of-00003.gguf.
struct PartName {
    std::string model;
    int number = 0;  ///< from 1
    int count = 0;   ///< at least 2
    std::string extension;

    [[nodiscard]] std::string file_name(int of_number) const;
};
[[nodiscard]] std::optional<PartName> parse_part_name(std::string_view file_name);

/// Is it ".gguf" in small or capital letters?
[[nodiscard]] bool is_gguf_extension(std::string_view extension);

/// All files of the model whose first file is `path`, in order: `path` alone, unless its name is a first part's.
[[nodiscard]] std::vector<std::string> model_parts(const std::string& path);

/// Of all files of the model; nullopt, and `missing` is the name of the first that is not there.
[[nodiscard]] std::optional<FileStamps> model_stamps(const std::string& path, std::string* missing = nullptr);

}  // namespace sutazai
