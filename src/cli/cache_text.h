#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

/// What `sutazai ps` and `sutazai cache` print, made from the answers of cache/manage. Pure. Fields that are missing,
/// as with a server of another version, count as empty.
namespace sutazai::cli {

using SystemTime = std::chrono::system_clock::time_point;

/// The models that have an engine, or are getting one, in columns under a heading.
[[nodiscard]] std::string ps_table(const boost::json::value& status, SystemTime now);

/// The figures of the whole cache, then every model in columns.
[[nodiscard]] std::string cache_table(const boost::json::value& status, SystemTime now);

/// A line for each model of an action: "name: what happened".
[[nodiscard]] std::string outcome_lines(const boost::json::value& answer);

/// "12 s ago", "in 5 min"; "never" for text that is no time.
[[nodiscard]] std::string relative_time(std::string_view iso_8601, SystemTime now);

struct WarmUpProgress {
    std::string what;  ///< "loading m"
    double share = 0;  ///< 0 to 1
};
/// How far a warm-up of `models` is; of those that load, when it names none.
[[nodiscard]] WarmUpProgress warm_up_progress(const boost::json::value& status, const std::vector<std::string>& models);

}  // namespace sutazai::cli
