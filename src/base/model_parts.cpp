#include "base/model_parts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

namespace sutazai {
namespace {

constexpr std::size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// nullopt unless all of it are digits.
std::optional<int> number(std::string_view digits) {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && digits.front() != '-';
    return whole ? std::optional(value) : std::nullopt;
}

}  // namespace

FileStamp stamp_of(const struct stat& status) {
    return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
            nanoseconds(status.st_ctim)};
}

std::optional<FileStamp> stamp_of(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return stamp_of(status);
}

std::string PartName::file_name(int of_number) const {
    return fmt::format("{}-{:05}-of-{:05}{}", model, of_number, count, extension);
}

bool is_gguf_extension(std::string_view extension) {
    constexpr std::string_view kGguf = ".gguf";
    return std::ranges::equal(
        extension, kGguf, [](char c, char small) { return c == small || (c >= 'A' && c <= 'Z' && c + 32 == small); });
}

std::optional<PartName> parse_part_name(std::string_view file_name) {
    // <model>-NNNNN-of-NNNNN.gguf
    constexpr std::size_t kTail = 1 + kDigits + kOf.size() + kDigits;
    const auto dot = file_name.rfind('.');
    if (dot == std::string_view::npos || dot <= kTail || !is_gguf_extension(file_name.substr(dot))) return std::nullopt;
    const std::string_view tail = file_name.substr(dot - kTail, kTail);
    if (tail.front() != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
    const auto part = number(tail.substr(1, kDigits));
    const auto count = number(tail.substr(kTail - kDigits));
    if (!part || !count || *count < 2 || *part < 1 || *part > *count) return std::nullopt;
    return PartName{std::string(file_name.substr(0, dot - kTail)), *part, *count, std::string(file_name.substr(dot))};
}

std::vector<std::string> model_parts(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    const auto name = parse_part_name(std::string_view(path).substr(begin));
    if (!name || name->number != 1) return {path};
    std::vector<std::string> parts;
    parts.reserve(static_cast<std::size_t>(name->count));
    for (int i = 1; i <= name->count; ++i) parts.push_back(path.substr(0, begin) + name->file_name(i));
    return parts;
}

std::optional<FileStamps> model_stamps(const std::string& path, std::string* missing) {
    FileStamps stamps;
    for (const std::string& part : model_parts(path)) {
        const auto stamp = stamp_of(part);
        if (!stamp) {
            if (missing != nullptr) *missing = part.substr(part.rfind('/') + 1);
            return std::nullopt;
        }
        stamps.push_back(*stamp);
    }
    return stamps;
}

}  // namespace sutazai
