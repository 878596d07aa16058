#include "cli/find_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <utility>

#include "base/model_parts.h"
#include "config/value_parsers.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostNear = 3;
/// An error names so many models at most.
constexpr std::size_t kMostTold = 20;

/// Letters to be put in, taken out or exchanged (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t exchanged = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = std::exchange(row[j + 1], std::min({exchanged, row[j] + 1, row[j + 1] + 1}));
        }
    }
    return row.back();
}

bool looks_like_a_path(const std::string& name) {
    return name.starts_with('/') || name.starts_with('.') || name.starts_with('~') || name.ends_with('/') ||
           is_gguf_extension(fs::path(name).extension().string());
}

/// What is wrong with `name`, for the first half of a sentence.
std::string what_is_wrong(const catalog::Catalog& catalog, const std::string& name) {
    std::error_code error;
    const fs::file_status there = fs::status(name, error);
    if (fs::is_directory(there)) return fmt::format("\"{}\" is a folder, not a model", name);
    if (fs::is_regular_file(there)) return fmt::format("\"{}\" is no .gguf file", name);
    if (fs::exists(there)) return fmt::format("\"{}\" is no regular file", name);
    const auto& named = catalog.sources().named;
    if (const auto given = named.find(name); given != named.end()) {
        return fmt::format("the file of model \"{}\", {}, is {}", name, given->second,
                           fs::exists(given->second, error) ? "no regular file" : "not there");
    }
    if (!looks_like_a_path(name)) return fmt::format("there is no model \"{}\"", name);
    const fs::path folder = fs::path(name).is_absolute() ? fs::path() : fs::current_path(error);
    return fmt::format("there is no file \"{}\"{}", name, folder.empty() ? "" : " in " + folder.string());
}

std::string what_there_is(const catalog::Catalog& catalog, const std::string& name) {
    std::vector<std::string> names;
    for (const catalog::ModelFile& file : catalog.list()) names.push_back(file.name);
    if (names.empty()) {
        return fmt::format("there are no models either: put a GGUF file into {} or name one with --model NAME=PATH",
                           catalog.sources().models_dir);
    }
    std::string wanted = fs::path(name).filename().string();
    if (is_gguf_extension(fs::path(wanted).extension().string())) wanted = fs::path(wanted).stem().string();
    const std::vector<std::string> near = near_names(wanted, names);
    if (!near.empty()) return fmt::format("did you mean {}? `sutazai list` shows all models", fmt::join(near, " or "));
    const std::size_t more = names.size() - std::min(names.size(), kMostTold);
    names.resize(names.size() - more);
    return fmt::format("the models here are {}{}", fmt::join(names, ", "),
                       more == 0 ? "" : fmt::format(" and {} more, as `sutazai list` shows", more));
}

}  // namespace

std::vector<std::string> near_names(std::string_view wanted, const std::vector<std::string>& names) {
    const std::string searched = config::lower(wanted);
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const std::string& name : names) {
        const std::string candidate = config::lower(name);
        const std::size_t letters = distance(searched, candidate);
        const bool begins = searched.size() > 1 && (candidate.starts_with(searched) || searched.starts_with(candidate));
        if (begins || 3 * letters <= std::max(searched.size(), candidate.size())) near.emplace_back(letters, name);
    }
    std::ranges::stable_sort(near, std::less(), &std::pair<std::size_t, std::string>::first);
    if (near.size() > kMostNear) near.resize(kMostNear);
    std::vector<std::string> out;
    out.reserve(near.size());
    for (auto& [letters, name] : near) out.push_back(std::move(name));
    return out;
}

Result<catalog::ModelFile> find_model(const catalog::Catalog& catalog, const std::string& name) {
    auto found = catalog.find(name);
    if (found || found.error().code == ErrorCode::kLoadFailed) return found;
    return fail(ErrorCode::kNotFound, fmt::format("{}; {}", what_is_wrong(catalog, name), what_there_is(catalog, name)),
                "model");
}

}  // namespace sutazai::cli
