#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sutazai {

/// What keys and values may be kept as, by ggml's names.
struct KvType {
    std::string_view name;
    std::uint64_t bytes_of_32;  ///< what 32 values take
};
inline constexpr std::array<KvType, 9> kKvTypes{{{"f32", 128},
                                                 {"f16", 64},
                                                 {"bf16", 64},
                                                 {"q8_0", 34},
                                                 {"q5_1", 24},
                                                 {"q5_0", 22},
                                                 {"q4_1", 20},
                                                 {"q4_0", 18},
                                                 {"iq4_nl", 18}}};
inline constexpr std::string_view kDefaultKvType = "f16";

/// Nothing when there is no such type. Empty is the default one.
[[nodiscard]] constexpr std::optional<KvType> kv_type(std::string_view name) {
    if (name.empty()) name = kDefaultKvType;
    for (const KvType& type : kKvTypes) {
        if (type.name == name) return type;
    }
    return std::nullopt;
}

}  // namespace sutazai
