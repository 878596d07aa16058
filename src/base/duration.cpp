#include "base/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace sutazai {
namespace {

constexpr double kMostSeconds = 1000.0 * 365 * 86400;

/// Seconds of the unit at the beginning of `text`, which is taken off; nothing when there is none.
std::optional<double> take_unit(std::string_view& text) {
    struct Unit {
        std::string_view name;
        double seconds;
    };
    for (const Unit& unit : {Unit{"ms", 0.001}, Unit{"s", 1}, Unit{"m", 60}, Unit{"h", 3600}}) {
        if (!text.starts_with(unit.name)) continue;
        text.remove_prefix(unit.name.size());
        return unit.seconds;
    }
    return std::nullopt;
}

std::optional<double> take_number(std::string_view& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    // from_chars takes "inf", "nan" and a sign, too.
    const bool is_digits = !text.empty() && (text[0] == '.' || (text[0] >= '0' && text[0] <= '9'));
    if (error != std::errc() || !is_digits) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

}  // namespace

std::optional<std::chrono::milliseconds> duration_from_seconds(double seconds) {
    if (!std::isfinite(seconds) || std::abs(seconds) > kMostSeconds) return std::nullopt;
    const auto value = std::chrono::milliseconds(std::llround(seconds * 1000));
    // What is shorter than can be told is still on its side of zero.
    if (value.count() == 0 && seconds != 0) return std::chrono::milliseconds(seconds < 0 ? -1 : 1);
    return value;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    double sign = 1;
    if (text.starts_with('-') || text.starts_with('+')) {
        sign = text[0] == '-' ? -1 : 1;
        text.remove_prefix(1);
    }
    double seconds = 0;
    bool first = true;
    do {
        const auto number = take_number(text);
        if (!number) return std::nullopt;
        if (text.empty() && first) {
            seconds = *number;
            break;
        }
        const auto unit = take_unit(text);
        if (!unit) return std::nullopt;
        seconds += *number * *unit;
        first = false;
    } while (!text.empty());
    return duration_from_seconds(sign * seconds);
}

std::string show_keep_alive(KeepAlive value) {
    if (value.count() < 0) return "forever";
    if (value.count() == 0) return "0s";
    if (value < std::chrono::seconds(1)) return fmt::format("{}ms", value.count());
    const auto hours = std::chrono::duration_cast<std::chrono::hours>(value);
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(value - hours);
    const double seconds = std::chrono::duration<double>(value - hours - minutes).count();
    std::string out;
    if (hours.count() > 0) out += fmt::format("{}h", hours.count());
    if (minutes.count() > 0) out += fmt::format("{}m", minutes.count());
    if (seconds > 0) out += fmt::format("{}s", seconds);
    return out;
}

}  // namespace sutazai
