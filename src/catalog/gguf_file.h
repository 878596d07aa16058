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
    bool has_pooling_type = false;  ///< it is made for embeddings
    bool fills_gaps = false;        ///< it says which tokens are around a gap in a text
    std::uint64_t data_offset = 0;  ///< where the tensors' bytes begin
    std::uint64_t tensor_bytes =
        0;  ///< from there to the end of the last tensor; inside the file as the engine reads it
    std::uint64_t split_count = 0;    ///< files that the model was split into; 0 or 1: it is whole
    std::uint64_t split_number = 0;   ///< which of them this is, from 0
    std::uint64_t split_tensors = 0;  ///< of all files together, as the first one has it
    bool has_output_layer = false;    ///< of its own; else the embedding table is used for it as well
};

/// Reads head and metadata of the model whose (first) file is `path`; of the tensors' data only the place is looked at.
/// The numbers are those of all files of a split model together (base/model_parts.h), data_offset the first one's.
/// Errors are kLoadFailed: no GGUF file, truncated (with both sizes), a version or type that this engine does not read,
/// counts or sizes that cannot be, a part that is missing or another model's (with its name). The message does not hold
/// the path. Blocks on the disk for milliseconds; any thread.
[[nodiscard]] Result<GgufSummary> read_gguf_summary(const std::string& path);

/// The same for a seekable stream of `size` bytes, at its beginning: of one file, which may be a part.
[[nodiscard]] Result<GgufSummary> read_gguf_summary(std::istream& in, std::uint64_t size);

/// "Q4_K_M" and so on, "" when the number is not known.
[[nodiscard]] const char* file_type_name(std::uint32_t file_type);

}  // namespace sutazai::catalog
