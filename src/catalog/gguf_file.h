#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "base/error.h"

/// The head of a GGUF file (versions 2 and 3, little-endian): what the model is, and whether the file is whole. Format:
/// ggml's docs/gguf.md. Every length, count and offset is checked before it is used, with stricter limits than the
/// engine's, so that a broken or hostile file ends here, with a clear message, and not in an engine process.
namespace sutazai::catalog {

/// Numbers that the file does not tell are 0, and so are those of a layer where they differ from layer to layer.
struct GgufSummary {
    std::uint32_t version = 0;
    std::string architecture;  ///< for example "qwen2"
    std::string name;          ///< general.name; bytes as they are in the file, may be empty
    std::uint64_t parameters = 0;
    std::uint64_t tensors = 0;
    std::uint64_t context_length = 0;    ///< tokens the model was trained for
    std::uint64_t block_count = 0;       ///< layers
    std::uint64_t embedding_length = 0;  ///< hidden size
    std::uint64_t head_count = 0;
    std::uint64_t head_count_kv = 0;
    std::uint64_t kv_heads_in_all = 0;       ///< of all layers together
    std::uint64_t key_length = 0;            ///< of one head; embedding_length / head_count where the file is silent
    std::uint64_t value_length = 0;          ///< the same
    std::uint64_t feed_forward_length = 0;   ///< of the widest layer
    std::uint64_t vocabulary = 0;            ///< tokens
    std::uint64_t tied_bytes = 0;            ///< of the embedding table, where it is the output layer as well
    std::optional<std::uint32_t> file_type;  ///< quantisation, as file_type_name() reads it
    bool has_chat_template = false;
    std::uint64_t data_offset = 0;   ///< where the tensors' bytes begin
    std::uint64_t tensor_bytes = 0;  ///< from there to the end of the last tensor; inside the file
};

/// Reads head and metadata; of the tensors' data only the place is looked at. Errors are kLoadFailed: no GGUF file,
/// truncated (with both sizes), a version or type that this engine does not read, counts or sizes that cannot be. The
/// message does not hold the path. Blocks on the disk for milliseconds; any thread.
[[nodiscard]] Result<GgufSummary> read_gguf_summary(const std::string& path);

/// The same for a seekable stream of `size` bytes, at its beginning.
[[nodiscard]] Result<GgufSummary> read_gguf_summary(std::istream& in, std::uint64_t size);

/// "Q4_K_M" and so on, "" when the number is not known.
[[nodiscard]] const char* file_type_name(std::uint32_t file_type);

}  // namespace sutazai::catalog
