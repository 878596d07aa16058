#include "cli/cache_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "base/byte_text.h"

namespace sutazai::cli {

namespace json = boost::json;

namespace {

const json::value* member(const json::value& object, std::string_view name) {
    return object.is_object() ? object.get_object().if_contains(name) : nullptr;
}

std::string text(const json::value& object, std::string_view name) {
    const json::value* value = member(object, name);
    return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : "";
}

double number(const json::value& object, std::string_view name) {
    const json::value* value = member(object, name);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::uint64_t count(const json::value& object, std::string_view name) {
    const double value = number(object, name);
    return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

bool flag(const json::value& object, std::string_view name) {
    const json::value* value = member(object, name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

const json::array& list(const json::value& object, std::string_view name) {
    static const json::array kNone;
    const json::value* value = member(object, name);
    return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

std::optional<SystemTime> parse_time(std::string_view iso_8601) {
    std::tm parts{};
    const std::string copy(iso_8601);
    const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == nullptr) return std::nullopt;
    return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string duration_text(std::chrono::seconds length) {
    const auto n = length.count();
    if (n < 120) return fmt::format("{} s", n);
    if (n < 7200) return fmt::format("{} min", n / 60);
    if (n < 172'800) return fmt::format("{} h", n / 3600);
    return fmt::format("{} days", n / 86'400);
}

std::string until(const json::value& model, SystemTime now) {
    if (flag(model, "pinned")) return "pinned";
    if (count(model, "in_use") > 0) return "in use";
    const std::string when = text(model, "unload_at");
    return when.empty() ? "needed elsewhere" : relative_time(when, now);
}

std::string size_text(const json::value& model) {
    const std::uint64_t measured = count(model, "bytes_measured");
    if (measured > 0) return byte_text(measured);
    const std::uint64_t expected = count(model, "bytes_expected");
    return expected > 0 ? "~" + byte_text(expected) : "-";
}

std::string state_text(const json::value& model) {
    std::string state = text(model, "state");
    if (state == "loading") state += fmt::format(" {:.0f}%", std::floor(100 * number(model, "load_progress")));
    // The reason, if there is one, stands below.
    if (text(model, "file_note").starts_with("changed on disk")) state += ", changed on disk";
    return state;
}

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell, two blanks between.
std::string columns(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

}  // namespace

std::string relative_time(std::string_view iso_8601, SystemTime now) {
    const auto when = parse_time(iso_8601);
    if (!when) return "never";
    const auto ahead = std::chrono::duration_cast<std::chrono::seconds>(*when - now);
    return ahead.count() > 0 ? "in " + duration_text(ahead) : duration_text(-ahead) + " ago";
}

std::string ps_table(const json::value& status, SystemTime now) {
    std::vector<Row> rows{{"NAME", "STATE", "SIZE", "PID", "REQUESTS", "LAST USE", "UNTIL"}};
    for (const json::value& model : list(status, "models")) {
        const std::string state = text(model, "state");
        if (state == "cold" || state == "failed" || !text(model, "alias_of").empty()) continue;
        // An upstream may have thousands that nobody asks for.
        if ((state == "remote" || state == "unreachable") && count(model, "requests") == 0) continue;
        const std::uint64_t pid = count(model, "pid");
        rows.push_back({text(model, "name"), state_text(model), size_text(model), pid > 0 ? fmt::to_string(pid) : "-",
                        fmt::to_string(count(model, "requests")), relative_time(text(model, "last_used"), now),
                        state == "warm" ? until(model, now) : "-"});
    }
    for (const json::value& engine : list(status, "standby_engines")) {
        rows.push_back({"-", "standby", byte_text(count(engine, "bytes")), fmt::to_string(count(engine, "pid")), "-",
                        "-", "a cold model needs it"});
    }
    return columns(rows);
}

std::string cache_table(const json::value& status, SystemTime now) {
    const json::value* most = member(status, "max_cache_size_mb");
    std::string out = fmt::format("warm models       {} of {} (room for {})\n", count(status, "warmed_models"),
                                  count(status, "total_models"), count(status, "max_models"));
    out += fmt::format(
        "memory            {:.1f} MiB{}\n", number(status, "total_cache_size_mb"),
        most != nullptr && most->is_number() ? fmt::format(" of {:.1f} MiB", most->to_number<double>()) : "");
    out += fmt::format("cache hit rate    {:.1f} % of requests found their model warm\n",
                       number(status, "cache_hit_rate"));
    out += fmt::format("prefix hit rate   {:.1f} % of prompt tokens were there already\n\n",
                       number(status, "prefix_hit_rate"));
    std::vector<Row> rows{{"NAME", "STATE", "SIZE", "REQUESTS", "FOUND WARM", "PREFIXES", "ARTIFACTS", "LAST USE"}};
    for (const json::value& model : list(status, "models")) {
        if (const std::string other = text(model, "alias_of"); !other.empty()) {
            rows.push_back({text(model, "name"), "same as " + other, "-", "-", "-", "-", "-", "-"});
            continue;
        }
        const json::value* artifacts = member(model, "artifacts");
        const std::uint64_t n_artifacts = artifacts == nullptr ? 0 : count(*artifacts, "count");
        rows.push_back(
            {text(model, "name"), state_text(model) + (flag(model, "pinned") ? ", pinned" : ""), size_text(model),
             fmt::to_string(count(model, "requests")), fmt::to_string(count(model, "found_warm")),
             fmt::to_string(count(model, "prefixes")),
             n_artifacts == 0 ? "-" : fmt::format("{} ({})", n_artifacts, byte_text(count(*artifacts, "bytes"))),
             relative_time(text(model, "last_used"), now)});
    }
    out += columns(rows);
    if (const std::string problem = text(status, "config_problem"); !problem.empty()) out += "\n" + problem;
    for (const json::value& model : list(status, "models")) {
        if (!text(model, "alias_of").empty()) continue;
        for (const char* what : {"last_error", "file_note"}) {
            const std::string note = text(model, what);
            if (!note.empty()) out += fmt::format("\n{}: {}", text(model, "name"), note);
        }
    }
    if (out.back() != '\n') out += '\n';
    return out;
}

std::string outcome_lines(const json::value& answer) {
    std::string out;
    for (const json::value& result : list(answer, "results")) {
        out += fmt::format("{}: {}{}\n", text(result, "model"),
                           flag(result, "success") ? "" : "failed: ", text(result, "message"));
    }
    return out;
}

WarmUpProgress warm_up_progress(const json::value& status, const std::vector<std::string>& models) {
    WarmUpProgress out{"warming", 0};
    double done = 0;
    std::size_t n_models = models.size();
    for (const json::value& model : list(status, "models")) {
        const std::string name = text(model, "name");
        const std::string state = text(model, "state");
        const bool loads = state == "loading" || state == "warming";
        if (models.empty() ? !loads : std::ranges::find(models, name) == models.end()) continue;
        if (models.empty()) ++n_models;
        if (state == "warm" || state == "failed") done += 1;
        if (!loads) continue;
        // The warm-up comes after the weights, and takes its time as well.
        done += state == "warming" ? 0.95 : 0.9 * std::clamp(number(model, "load_progress"), 0.0, 1.0);
        out.what = fmt::format("{} {}", state, name);
    }
    if (n_models > 0) out.share = done / static_cast<double>(n_models);
    return out;
}

}  // namespace sutazai::cli
