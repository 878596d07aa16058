#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sutazai {

/// How long an idle model stays warm: a time, or for ever (no value of its own: any negative one).
using KeepAlive = std::chrono::milliseconds;
inline constexpr KeepAlive kKeepForEver{-1};

/// "300ms", "5m", "1h30m", "1.5h", or a number of seconds; a sign in front counts for the whole. Units: ms, s, m, h, as
/// in Go's time.ParseDuration, which Ollama reads its keep_alive with. Nothing for what is none, or longer than a
/// thousand years. Pure.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Seconds to such a value; nothing for what is not finite or as long as above.
[[nodiscard]] std::optional<std::chrono::milliseconds> duration_from_seconds(double seconds);

/// "1h30m", "5m", "2.5s", "300ms", "0s"; "forever" when negative.
[[nodiscard]] std::string show_keep_alive(KeepAlive value);

}  // namespace sutazai
