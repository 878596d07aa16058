#include "fetch/hf_tree.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/model_parts.h"
#include "catalog/hf_cache.h"
#include "catalog/ollama_name.h"

namespace sutazai::fetch {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostNamed = 30;

std::string text_at(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t number_at(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    boost::system::error_code error;
    const auto number = value == nullptr ? 0 : value->to_number<std::uint64_t>(error);
    return error ? 0 : number;
}

}  // namespace

Result<std::vector<HfFile>> parse_hf_tree(std::string_view text) {
    boost::system::error_code error;
    const json::value parsed = json::parse(text, error);
    if (error || !parsed.is_array()) return fail(ErrorCode::kUnavailable, "what came is no list of files");
    std::vector<HfFile> out;
    for (const json::value& entry : parsed.get_array()) {
        if (!entry.is_object()) return fail(ErrorCode::kUnavailable, "what came is no list of files");
        const json::object& object = entry.get_object();
        HfFile file{text_at(object, "path"), number_at(object, "size"), std::nullopt};
        const auto dot = file.path.rfind('.');
        if (text_at(object, "type") != "file" || dot == std::string::npos ||
            !is_gguf_extension(file.path.substr(dot))) {
            continue;
        }
        if (const json::value* lfs = object.if_contains("lfs"); lfs != nullptr && lfs->is_object()) {
            file.digest = digest_from_hex(text_at(lfs->get_object(), "oid"));
            file.bytes = number_at(lfs->get_object(), "size");
        }
        out.push_back(std::move(file));
    }
    return out;
}

Result<HfFile> choose_hf_file(std::string_view repository, const std::vector<HfFile>& files, std::string_view tag) {
    std::vector<std::string> paths;
    paths.reserve(files.size());
    for (const HfFile& file : files) paths.push_back(file.path);
    const auto named = catalog::name_hf_files(repository, paths);
    if (named.empty()) {
        return fail(ErrorCode::kNotFound, fmt::format("hf.co/{} has no GGUF files of a model", repository), "model");
    }
    auto chosen = named.end();
    if (tag.empty()) {
        chosen = std::ranges::find(named, catalog::hf_default(named));
    } else {
        const std::string wanted = ":" + catalog::in_small_letters(tag);
        chosen = std::ranges::find_if(
            named, [&](const catalog::HfNamed& one) { return catalog::in_small_letters(one.name).ends_with(wanted); });
    }
    if (chosen == named.end()) {
        std::vector<std::string> tags;
        for (const auto& one : named) {
            if (tags.size() < kMostNamed) tags.push_back(one.name.substr(one.name.rfind(':') + 1));
        }
        return fail(ErrorCode::kNotFound,
                    fmt::format("hf.co/{} has no {}; there are {}", repository, tag, fmt::join(tags, ", ")), "model");
    }
    const std::string file = chosen->file.substr(chosen->file.rfind('/') + 1);
    if (const auto part = parse_part_name(file)) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("{} is split into {} files, which a store does not hold as one model; download them into the "
                        "Hugging Face cache (hf download {} --include \"{}*\"), which is read as it is",
                        file, part->count, repository,
                        chosen->file.substr(0, chosen->file.size() - file.size()) + part->model),
            "model");
    }
    return *std::ranges::find(files, chosen->file, &HfFile::path);
}

}  // namespace sutazai::fetch
