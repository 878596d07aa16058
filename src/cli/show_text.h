#pragma once

#include <cstdint>
#include <string>

#include "api/ollama_models.h"

namespace sutazai::cli {

enum class ShowWhat : std::uint8_t { kAll, kVerbose, kModelfile, kParameters, kTemplate, kSystem, kLicense };

/// What `sutazai show` prints. One thing alone is printed as it is, with a line's end. Pure.
[[nodiscard]] std::string show_text(const api::ollama::ModelPage& page, ShowWhat what);

}  // namespace sutazai::cli
