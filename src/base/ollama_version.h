#pragma once

#include <string_view>

namespace sutazai {

/// Of the Ollama whose API is spoken here, and whose files are known: clients ask for it to know what they may use.
inline constexpr std::string_view kOllamaVersion = "0.33.0";

}  // namespace sutazai
