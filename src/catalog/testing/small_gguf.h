#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// For tests only.
namespace sutazai::catalog {

/// The smallest file that passes for a model: one tensor of four floats.
inline std::string small_gguf() {
    std::string out;
    const auto put = [&](std::uint64_t value, int n_bytes) {
        for (int i = 0; i < n_bytes; ++i) out += static_cast<char>(value >> 8 * i);
    };
    const auto text = [&](std::string_view value) {
        put(value.size(), 8);
        out += value;
    };
    out += "GGUF";
    put(3, 4);
    put(1, 8);
    put(1, 8);
    text("general.architecture");
    put(8, 4);
    text("llama");
    text("w");
    put(1, 4);
    put(4, 8);
    put(0, 4);
    put(0, 8);
    out.resize((out.size() + 31) / 32 * 32 + 16);
    return out;
}

}  // namespace sutazai::catalog
