#pragma once

#include <functional>
#include <string>

#include "gguf/draft.h"

namespace sutazai::llama {

using Ageing = std::function<void(gguf::Draft& draft, gguf::Outline& outline)>;

/// Writes the file at `path` as another one, with another outline; the old one stays.
void write_aged(const std::string& path, const std::string& aged, const Ageing& how);

/// Another tensor, whose numbers are those of the first one.
void add_tensor(gguf::Outline& outline, const std::string& name);

}  // namespace sutazai::llama
