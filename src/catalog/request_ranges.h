#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "catalog/model_profile.h"

/// What the defaults of a model may be: what a request may ask for (api/chat_fields.h).
namespace sutazai::catalog {

struct FloatField {
    std::string_view name;
    std::optional<float> RequestDefaults::*member;
    double least;
    double most;
    bool above_least = false;  ///< `least` itself is not allowed

    [[nodiscard]] constexpr bool allows(double value) const {
        return (above_least ? value > least : value >= least) && value <= most;
    }
};

inline constexpr std::array<FloatField, 6> kFloatFields{{
    {"temperature", &RequestDefaults::temperature, 0, 2},
    {"top_p", &RequestDefaults::top_p, 0, 1, true},
    {"min_p", &RequestDefaults::min_p, 0, 1},
    {"repeat_penalty", &RequestDefaults::repeat_penalty, 0, 2, true},
    {"presence_penalty", &RequestDefaults::presence_penalty, -2, 2},
    {"frequency_penalty", &RequestDefaults::frequency_penalty, -2, 2},
}};
inline constexpr int kMostTopK = 10000;
inline constexpr std::size_t kMostStops = 64;
inline constexpr std::size_t kMostStopBytes = 256;
inline constexpr std::int64_t kMostContextTokens = 1 << 24;

}  // namespace sutazai::catalog
