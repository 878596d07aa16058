#include "models/usage_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "catalog/catalog.h"

namespace sutazai::models {
namespace {

constexpr std::string_view kFormat = "sutazai-usage 1";
constexpr std::string_view kPinned = "+pinned";
constexpr std::size_t kMostModels = 10'000;
constexpr std::size_t kMostBytes = 4 << 20;

template <typename T>
bool read_number(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

/// The tab separated parts; false when there are not exactly as many as wanted.
template <std::size_t N>
bool split(std::string_view line, std::array<std::string_view, N>& parts) {
    for (std::size_t i = 0; i < N; ++i) {
        const auto tab = line.find('\t');
        parts.at(i) = line.substr(0, tab);
        if (tab == std::string_view::npos) return i + 1 == N;
        line.remove_prefix(tab + 1);
    }
    return false;
}

void parse_line(std::string_view line, UsageByName& usage) {
    std::array<std::string_view, 7> parts;
    if (!split(line, parts)) return;
    const auto& [name, warm, score, last_used, load_ms, file_bytes, correction] = parts;
    Usage entry;
    const auto state = warm.substr(0, warm.find('+'));
    entry.warm = state == "warm";
    entry.pinned = warm.size() > state.size();
    if (!catalog::is_valid_model_name(name) || (!entry.warm && state != "cold")) return;
    if (entry.pinned && warm.substr(state.size()) != kPinned) return;
    if (!read_number(score, entry.score) || !std::isfinite(entry.score) || entry.score < 0) return;
    if (!read_number(last_used, entry.last_used_s) || entry.last_used_s < 0) return;
    if (!read_number(load_ms, entry.load_ms) || entry.load_ms < 0) return;
    if (!read_number(file_bytes, entry.file_bytes)) return;
    if (correction != "-") {
        std::int64_t bytes = 0;
        if (!read_number(correction, bytes)) return;
        entry.memory_correction = bytes;
    }
    usage.insert_or_assign(std::string(name), entry);
}

}  // namespace

std::string usage_text(const UsageByName& usage) {
    std::string out = fmt::format("{}\n", kFormat);
    for (const auto& [name, entry] : usage) {
        out += fmt::format("{}\t{}{}\t{:.6g}\t{}\t{}\t{}\t{}\n", name, entry.warm ? "warm" : "cold",
                           entry.pinned ? kPinned : "", entry.score, entry.last_used_s, entry.load_ms, entry.file_bytes,
                           entry.memory_correction ? fmt::to_string(*entry.memory_correction) : "-");
    }
    return out;
}

UsageByName parse_usage(std::string_view text) {
    UsageByName usage;
    bool first = true;
    while (!text.empty() && usage.size() < kMostModels) {
        const auto end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (first && line != kFormat) return usage;  // another format, or none
        if (!first) parse_line(line, usage);
        first = false;
    }
    return usage;
}

UsageByName read_usage(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error) || std::filesystem::file_size(path, error) > kMostBytes)
        return {};
    std::ifstream in(path, std::ios::binary);
    return parse_usage(std::string{std::istreambuf_iterator<char>(in), {}});
}

bool write_usage(const std::string& path, const UsageByName& usage) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    // Two servers may share the folder.
    const std::string fresh = fmt::format("{}.{}", path, ::getpid());
    {
        std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
        out << usage_text(usage);
        out.close();
        if (!out) {
            std::filesystem::remove(fresh, error);
            return false;
        }
    }
    if (std::rename(fresh.c_str(), path.c_str()) == 0) return true;
    std::filesystem::remove(fresh, error);
    return false;
}

}  // namespace sutazai::models
