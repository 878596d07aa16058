#pragma once

#include <string>
#include <vector>

#include "llama/testing/aged_file.h"
#include "llama/testing/tiny_model.h"

/// What each family's files look like to llama.cpp, and how Ollama's own differ.
namespace sutazai::llama {

struct AgedFamily {
    std::string name;
    TinyShape shape;
    Ageing age;
    bool embeds = false;  ///< it makes vectors
};
void PrintTo(const AgedFamily& one, std::ostream* out);

[[nodiscard]] std::vector<AgedFamily> aged_gemmas();
[[nodiscard]] std::vector<AgedFamily> aged_qwens();
[[nodiscard]] std::vector<AgedFamily> aged_others();

using Values = std::vector<std::pair<std::string, TinyValue>>;
[[nodiscard]] Values with(Values some, const Values& more);
[[nodiscard]] const Values& some_experts();
void add_vision(gguf::Outline& outline);

}  // namespace sutazai::llama
