#include "store/quantisations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace sutazai::store {
namespace {

/// Those that need no importance matrix; llama/quantize.cpp has their numbers.
constexpr auto kNames =
    std::to_array<std::string_view>({"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L",
                                     "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "F16", "BF16", "F32"});

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

std::optional<std::string> quantisation_named(std::string_view name) {
    std::string wanted(name);
    std::ranges::transform(wanted, wanted.begin(), upper);
    // As Ollama and llama.cpp shorten them.
    for (const auto& [brief, whole] :
         {std::pair("Q3_K", "Q3_K_M"), std::pair("Q4_K", "Q4_K_M"), std::pair("Q5_K", "Q5_K_M")}) {
        if (wanted == brief) wanted = whole;
    }
    if (std::ranges::find(kNames, wanted) == kNames.end()) return std::nullopt;
    return wanted;
}

std::string quantisation_names() {
    return fmt::format("{}", fmt::join(kNames, ", "));
}

bool is_unquantised(std::string_view file_type) {
    return file_type == "F32" || file_type == "F16" || file_type == "BF16";
}

}  // namespace sutazai::store
