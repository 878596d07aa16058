#include "catalog/model_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/model_parts.h"

namespace sutazai::catalog {
namespace {

constexpr std::size_t kMostMapped = 190;  // leaves room for the digits behind it

constexpr std::size_t kMaxNameLength = 200;

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_name_character(char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == ':' || c == '-';
}

/// Six hex digits (FNV-1a).
std::string digits_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return fmt::format("{:06x}", (hash ^ hash >> 24) & 0xFFFFFF);
}

struct Candidate {
    std::string file;  ///< of the first part
    std::string own;   ///< its name without the extension and the part's number
    std::string name;
    bool exact = false;  ///< the file is called just so
};

Candidate candidate_of(const std::string& file) {
    Candidate out{.file = file};
    if (const auto part = parse_part_name(file)) {
        out.file = part->file_name(1);
        out.own = part->model;
    } else {
        out.own = file.substr(0, file.rfind('.'));
        out.exact = file.ends_with(".gguf");
    }
    out.name = out.own;
    if (!is_valid_model_name(out.own)) {
        out.name = name_from(out.own);
        out.exact = false;
    }
    return out;
}

}  // namespace

bool is_valid_model_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxNameLength || name.find("..") != std::string_view::npos) return false;
    if (!is_alphanumeric(name[0]) && name[0] != '_') return false;
    return std::ranges::all_of(name, [](char c) { return is_name_character(c) || c == '/'; });
}

std::string name_from(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const char mapped = is_name_character(c) ? c : '-';
        const bool separates = mapped == '-' || mapped == '.' || mapped == ':';
        // None at the beginning, and no run of the same.
        if (separates && (out.empty() || out.back() == mapped)) continue;
        out += mapped;
    }
    out.resize(std::min(out.size(), kMostMapped));
    while (!out.empty() && (out.back() == '-' || out.back() == '.' || out.back() == ':')) out.pop_back();
    return out;
}

std::vector<NamedFile> name_files(const std::vector<std::string>& files) {
    std::map<std::string, Candidate> models;  // by file: the parts of a model are one
    for (const std::string& file : files) {
        const auto dot = file.rfind('.');
        if (dot == std::string::npos || dot == 0 || file.front() == '.') continue;
        if (!is_gguf_extension(std::string_view(file).substr(dot))) continue;
        Candidate candidate = candidate_of(file);
        models.emplace(candidate.file, std::move(candidate));
    }
    std::map<std::string, std::size_t> wanted;
    std::set<std::string> taken;
    for (const auto& [file, model] : models) {
        ++wanted[model.name];
        if (model.exact) taken.insert(model.name);
    }
    std::vector<NamedFile> out;
    out.reserve(models.size());
    for (const auto& [file, model] : models) {
        NamedFile named{model.name, file, {}};
        const bool alone = wanted[model.name] == 1;
        if (!model.exact && (model.name.empty() || model.own.size() > kMostMapped || !alone)) {
            const std::string stem = model.name.empty() ? "model" : model.name.substr(0, kMostMapped);
            named.name = fmt::format("{}-{}", stem, digits_of(file));
            // Two hashes in the way of one another, or of a file that is called so.
            for (int n = 2; taken.contains(named.name); ++n) {
                named.name = fmt::format("{}-{}-{}", stem, digits_of(file), n);
            }
            named.note = fmt::format("{} is offered as \"{}\"", file, named.name);
            if (!alone && !model.name.empty())
                named.note += fmt::format(": another file has the name \"{}\"", model.name);
        } else if (model.name != model.own) {
            named.note = fmt::format("{} is offered as \"{}\"", file, named.name);
        }
        taken.insert(named.name);
        out.push_back(std::move(named));
    }
    return out;
}

}  // namespace sutazai::catalog
