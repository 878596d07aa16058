#pragma once

#include <gguf.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.h"

namespace sutazai::synth {

/// Writes a GGUF file: the head that `metadata` makes, and behind it what `write_data` writes. Replaced when it is
/// complete, never left half written. kInvalidArgument (field "output") when that fails.
[[nodiscard]] Result<void> write_gguf(const std::filesystem::path& output, const gguf_context* metadata,
                                      const std::function<void(std::ofstream&)>& write_data);

}  // namespace sutazai::synth
