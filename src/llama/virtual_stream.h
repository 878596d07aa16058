#pragma once

#include <cstdio>
#include <memory>

#include "gguf/virtual_file.h"

namespace sutazai::llama {

struct StreamCloser {
    void operator()(std::FILE* stream) const { std::fclose(stream); }
};
using Stream = std::unique_ptr<std::FILE, StreamCloser>;

/// `file`, which outlives it, as C's library reads files; null when there is no memory. One thread at a time, other
/// streams of the same file beside it.
[[nodiscard]] Stream open_stream(const gguf::VirtualFile& file);

}  // namespace sutazai::llama
